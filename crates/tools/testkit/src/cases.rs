//! Lists of cases.

/// Expands to one test per case on the fixture that `$setup` opens, so that a failure names both.
///
/// `$setup` is an `async fn() -> Option<F>`; `F` has `async fn close(&self)`. Without a fixture, because its server is
/// missing, a test does nothing. A case is an `async fn(&F)` of the named module of the calling crate.
#[macro_export]
#[expect(clippy::crate_in_macro_def, reason = "the modules are those of the calling crate")]
macro_rules! cases {
    ($setup:path; $($module:ident { $($case:ident)+ })+) => {
        $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some(fixture) = $setup().await else { return };
            crate::$module::$case(&fixture).await;
            fixture.close().await;
        })+)+
    };
}
