//! The gallery: a web page over the API. Its files are embedded in the binary.

use kennel_http::{Asset, Page};

/// A file of the folder `gallery`, served under its own name.
macro_rules! file {
    ($name:literal) => {
        Asset { path: concat!("/gallery/", $name), content: include_str!(concat!("gallery/", $name)) }
    };
}

pub(crate) const GALLERY: Page = Page {
    // Allows only the page's own files and images from any host that dogs link to, and no text as markup or code.
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
        require-trusted-types-for 'script'; trusted-types 'none'",
    files: &[
        Asset { path: "/", content: include_str!("gallery/index.html") },
        file!("style.css"),
        file!("icon.svg"),
        file!("app.js"),
        file!("api.js"),
        file!("dogs.js"),
        file!("forms.js"),
        file!("live.js"),
        file!("names.js"),
        file!("page.js"),
        file!("status.js"),
        file!("viewer.js"),
    ],
};
