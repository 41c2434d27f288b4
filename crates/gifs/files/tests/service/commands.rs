//! The command line, without servers.

use kennel_testkit::gifs::samples;

use crate::backends::Variables;
use crate::running::Home;

#[tokio::test]
async fn inspect_prints_a_line_for_each_file() {
    let home = Home::new(&Variables::new());
    let names = ["animation", "missing-trailer", "html", "2001-frames"];
    for (name, file) in samples().into_iter().filter(|(name, _)| names.contains(name)) {
        std::fs::write(home.path().join(name), file).unwrap();
    }
    let (code, output) = home.run(&[&["inspect"], &names[..]].concat()).await;
    assert_eq!(code, Some(1));
    let expected = "\
animation  accepted  40x30  3 frames  0.30 s  endless
missing-trailer  accepted  40x30  3 frames  0.30 s  endless  missing_trailer
html  refused  the file is HTML or XML, not a GIF
2001-frames  refused  more than 2000 frames";
    assert_eq!(output, expected);
    assert_eq!(home.run(&["inspect", "animation"]).await.0, Some(0));
    assert_eq!(home.run(&["inspect", "nothing"]).await.0, Some(1));
}
