//! The page: a live chart, and a table of the same candles, with a log-in if the server wants to know who calls. Its files are embedded in the binary.

use kennel_http::{Asset, Page};

pub(crate) const PAGE: Page = Page {
    // Allows only the page's own files and an empty icon.
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    files: &[
        Asset { path: "/", content: include_str!("page/index.html") },
        Asset { path: "/page/style.css", content: include_str!("page/style.css") },
        Asset { path: "/page/app.js", content: include_str!("page/app.js") },
        Asset { path: "/page/chart.js", content: include_str!("page/chart.js") },
        Asset { path: "/page/session.js", content: include_str!("page/session.js") },
        Asset { path: "/page/stream.js", content: include_str!("page/stream.js") },
    ],
};
