use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use kennel_live::FileSource;

use super::*;

struct File {
    folder: tempfile::TempDir,
    values: Mutex<Values>,
}

impl File {
    fn path(&self) -> PathBuf {
        self.folder.path().join("live.toml")
    }

    /// Replaces the file in one step, as editors and Kubernetes do.
    fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }
}

#[async_trait]
impl Store for File {
    fn source(&self) -> Box<dyn LiveSource> {
        Box::new(FileSource::new(self.path()))
    }

    async fn set(&self, key: &str, value: Option<&str>) {
        let lines: Vec<_> = {
            let mut values = self.values.lock().unwrap();
            match value {
                Some(value) => values.insert(key.to_owned(), value.to_owned()),
                None => values.remove(key),
            };
            values.iter().map(|(key, value)| format!("{key:?} = '''{value}'''\n")).collect()
        };
        self.write(&lines.concat());
    }
}

#[expect(clippy::unused_async, reason = "other stores connect")]
async fn fresh() -> Option<File> {
    Some(File { folder: tempfile::tempdir().unwrap(), values: Mutex::default() })
}

crate::conformance!(fresh);

#[tokio::test]
async fn a_bad_file_is_an_error_once_and_a_good_one_follows() {
    let store = fresh().await.unwrap();
    store.write("a = ");
    let mut source = store.source();
    assert!(matches!(source.next().await, Err(LiveError::Invalid(_))));
    assert!(timeout(Duration::from_millis(50), source.next()).await.is_err(), "the error is repeated");
    store.write("a = 1");
    until(&mut source, values([("a", "1")])).await;
    fs::remove_file(store.path()).unwrap();
    until(&mut source, Values::new()).await;
}

/// As `>` and `cp` do: the file is empty, and then has a start that is valid, before it is complete.
#[tokio::test]
async fn a_file_that_is_being_written_is_read_when_it_is_complete() {
    let store = fresh().await.unwrap();
    store.write("limit = 5000");
    let mut source = store.source();
    assert_eq!(next(&mut source).await, values([("limit", "5000")]));
    let write = async {
        for text in ["", "limit = 1", "limit = 10", "limit = 1000"] {
            fs::write(store.path(), text).unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (read, ()) = tokio::join!(next(&mut source), write);
    assert_eq!(read, values([("limit", "1000")]));
}
