//! The preview page: the files that Vite built from `preview/`, if they existed when Hookbell was compiled.

use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};
use rust_embed::RustEmbed;

use super::answer;

/// Files of the page. Empty if the page was not built: `cargo` alone builds a complete program.
#[derive(RustEmbed)]
#[folder = "preview/dist"]
#[allow_missing = true]
struct Page;

/// Content security policy: the page may load, run and request only what this listener serves. Inline styles are
/// allowed because the chat renderers set them on elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Response if the page was not built.
const LEFT_OUT: &str = "This build of Hookbell does not include the preview page. To add it (Node 20 or newer):\n\n    \
                        cd preview && npm ci && npm run build && cd .. && cargo build\n";

/// Returns `true` if this build includes the page.
pub fn is_built() -> bool {
    Page::get("index.html").is_some()
}

/// Serves a file of the page. None of them is secret; the page's API requests need a token.
pub(super) fn serve(request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::method_not_allowed("GET");
    }
    let path = request.uri().path().trim_start_matches("/preview").trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some(file) = Page::get(path) else {
        return if is_built() {
            answer::error(StatusCode::NOT_FOUND, "the preview page has no file at this path")
        } else {
            Response::builder().status(StatusCode::NOT_FOUND).content_type("text/plain; charset=utf-8").body(LEFT_OUT)
        };
    };
    let sort = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    };
    Response::builder()
        .content_type(sort)
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::CACHE_CONTROL, "no-cache")
        .body(file.data.into_owned())
}
