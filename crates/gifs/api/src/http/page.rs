//! The page: a search box and a grid of animations. Its files are embedded in the binary.

use kennel_http::{Asset, Page};

pub(crate) const PAGE: Page = Page {
    // Allows only the page's own files, an empty icon, and images of providers whose files are not stored.
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; \
        connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
        require-trusted-types-for 'script'; trusted-types 'none'",
    files: &[
        Asset { path: "/", content: include_str!("page/index.html") },
        Asset { path: "/page/style.css", content: include_str!("page/style.css") },
        Asset { path: "/page/app.js", content: include_str!("page/app.js") },
    ],
};
