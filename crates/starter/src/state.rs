//! What was generated last: `.kennel/lock.json` and, for each file, its content in `.kennel/base`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::{fmt, fs, io};

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::transaction::Change;

/// The folder of the state, in the project.
pub const FOLDER: &str = ".kennel";
const LOCK: &str = ".kennel/lock.json";
const BASE: &str = ".kennel/base";

/// The version of this format.
const FORMAT: u32 = 1;

/// Of generated files; larger stored ones are not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// SHA-256 of a content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// Of these bytes.
    pub fn of(content: &[u8]) -> Self {
        Self(format!("{:x}", Sha256::digest(content)))
    }

    /// Where the content is stored.
    fn path(&self) -> anyhow::Result<String> {
        if self.0.len() != 64 || !self.0.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("{LOCK} has an invalid hash");
        }
        Ok(format!("{BASE}/{}/{}", &self.0[..2], &self.0[2..]))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file as it was generated last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pristine {
    /// The template, which identifies the file when its path changes.
    pub id: String,
    /// The content.
    pub text: String,
    /// Whether the user has taken it over: it is not updated any more.
    pub ejected: bool,
}

/// The files that were generated last, by path.
pub type Base = BTreeMap<String, Pristine>;

/// The content of `lock.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    format: u32,
    /// The version of the generator.
    generator: String,
    /// What the files were generated from: `kennel.yaml` and the templates.
    source: Hash,
    files: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    sha256: Hash,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ejected: bool,
}

/// The state of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What the files were generated from; `None` if nothing was generated yet.
    pub source: Option<Hash>,
    /// The files.
    pub base: Base,
}

impl State {
    /// Reads the state of the project at `root`.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(root.join(LOCK)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { source: None, base: Base::new() });
            }
            Err(error) => return Err(error).context(LOCK),
        };
        let lock: Lock = serde_json::from_str(&text).with_context(|| format!("{LOCK} is damaged"))?;
        if lock.format != FORMAT {
            bail!("{LOCK} has format {}; this version of kennel reads format {FORMAT}", lock.format);
        }
        let read = |(path, entry): (String, Entry)| {
            let text = read_blob(root, &entry.sha256).with_context(|| format!("the generated version of {path}"))?;
            anyhow::Ok((path, Pristine { id: entry.id, text, ejected: entry.ejected }))
        };
        let base = lock.files.into_iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { source: Some(lock.source), base })
    }

    /// What has to be changed in the project at `root` to store this state after `old`; the lock is the last change.
    pub fn changes(&self, old: &Self, root: &Path) -> anyhow::Result<Vec<Change>> {
        let Some(source) = &self.source else { return Ok(Vec::new()) };
        let (new, old) = (blobs(&self.base), blobs(&old.base));
        let mut changes = Vec::new();
        for (hash, text) in new.iter().filter(|(hash, _)| !old.contains_key(hash)) {
            changes.push(Change::of(root, hash.path()?, Some(compress(text)?))?);
        }
        for hash in old.keys().filter(|hash| !new.contains_key(hash)) {
            changes.push(Change::of(root, hash.path()?, None)?);
        }
        let entry = |pristine: &Pristine| Entry {
            id: pristine.id.clone(),
            sha256: Hash::of(pristine.text.as_bytes()),
            ejected: pristine.ejected,
        };
        let files = self.base.iter().map(|(path, pristine)| (path.clone(), entry(pristine))).collect();
        let generator = env!("CARGO_PKG_VERSION").to_owned();
        let lock = Lock { format: FORMAT, generator, source: source.clone(), files };
        let text = serde_json::to_string_pretty(&lock)? + "\n";
        if fs::read(root.join(LOCK)).ok().as_deref() != Some(text.as_bytes()) {
            changes.push(Change::of(root, LOCK.to_owned(), Some(text.into_bytes()))?);
        }
        Ok(changes)
    }
}

fn blobs(base: &Base) -> BTreeMap<Hash, &str> {
    base.values().map(|pristine| (Hash::of(pristine.text.as_bytes()), pristine.text.as_str())).collect()
}

fn compress(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

fn read_blob(root: &Path, hash: &Hash) -> anyhow::Result<String> {
    let path = hash.path()?;
    let compressed =
        fs::read(root.join(&path)).with_context(|| format!("{path} is missing; restore it from version control"))?;
    let mut text = String::new();
    DeflateDecoder::new(&compressed[..])
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("{path} is damaged"))?;
    if Hash::of(text.as_bytes()) != *hash {
        bail!("{path} is damaged; restore it from version control");
    }
    Ok(text)
}

/// The paths of the base that are `path` or below it.
pub fn select<'a>(base: &'a Base, path: &str) -> BTreeSet<&'a str> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let is_selected = |known: &str| known == path || known.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    base.keys().map(String::as_str).filter(|known| is_selected(known)).collect()
}
