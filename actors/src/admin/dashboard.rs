//! The built-in page: three small files inside the binary, nothing from anywhere else, and nothing inline, so that the content
//! policy can forbid all of that.

use super::{Response, response::text};

const PAGE: &str = include_str!("dashboard/index.html");
const SCRIPT: &str = include_str!("dashboard/app.js");
const STYLE: &str = include_str!("dashboard/style.css");

/// The file at this path, below the base path.
pub(super) fn page(path: &str) -> Option<Response> {
    let to = |location: &'static str| text(302, "text/plain; charset=utf-8", String::new()).with("Location", location);
    Some(match path {
        "/dashboard/" => text(200, "text/html; charset=utf-8", PAGE.to_owned()),
        "/dashboard/app.js" => text(200, "text/javascript; charset=utf-8", SCRIPT.to_owned()),
        "/dashboard/style.css" => text(200, "text/css; charset=utf-8", STYLE.to_owned()),
        // Relative, so that it holds behind whatever prefix a router has stripped.
        "/" => to("dashboard/"),
        "/dashboard" => to("dashboard/"),
        _ => return None,
    })
}
