//! The preview page: what Vite built of `preview/`, if it was built before the program was.

use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};
use rust_embed::RustEmbed;

use super::answer;

/// Nothing, where the page was not built: `cargo` alone makes a whole program all the same.
#[derive(RustEmbed)]
#[folder = "preview/dist"]
#[allow_missing = true]
struct Page;

/// What the page may do: run and load what comes from here, ask here, and nothing else. Renderers of chats set styles on
/// elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is said where there is no page.
const LEFT_OUT: &str = "The preview page was left out of this build of Hookbell. With Node 20 or newer:\n\n    \
                        cd preview && npm ci && npm run build && cd .. && cargo build\n";

/// Whether the page is here.
pub fn is_built() -> bool {
    Page::get("index.html").is_some()
}

/// Serves one of the page's files. None of them is a secret; what the page asks for needs a token.
pub(super) fn serve(request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::method_not_allowed("GET");
    }
    let path = request.uri().path().trim_start_matches("/preview").trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some(file) = Page::get(path) else {
        return if is_built() {
            answer::error(StatusCode::NOT_FOUND, "the preview page has no such file")
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
