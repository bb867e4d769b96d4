//! Detection of misleading links: link texts that name a host other than the link's target.

use super::WebUrl;

/// Returns true if a word is a file name, as in `shot.png`: either no host name has its extension, or the URL is that
/// of a file with that name.
fn is_file(word: &str, url: &WebUrl) -> bool {
    const ENDINGS: &[&str] = &[
        "png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "pdf", "txt", "json", "yaml", "yml", "toml", "xml", "html",
        "css", "scss", "js", "jsx", "tsx", "java", "kt", "kts", "cpp", "hpp", "cxx", "php", "sql", "csv", "tsv", "log",
        "lock", "conf", "ini", "env", "mp4", "webm", "docx", "xlsx", "pptx", "gradle", "tf", "ipynb", "patch", "diff",
    ];
    let name = word.trim_matches(['(', ')', '"', '\'', ',', ';']);
    if name.contains(['/', ':', '@']) {
        return false;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let path = url.as_str().split(['?', '#']).next().unwrap_or_default().to_lowercase();
    ENDINGS.contains(&ending)
        || (!ending.is_empty() && path.rsplit('/').next() == Some(name) && path.matches('/').count() > 2)
}

/// Returns true if a link's text looks like a URL of a host other than the link's.
pub(super) fn names_another_host(shown: &str, url: &WebUrl) -> bool {
    // Zero-width characters must not hide a host name.
    let address = url.as_str().to_lowercase();
    let visible = |c: &char| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}');
    shown.split_whitespace().any(|word| {
        let word: String = word.chars().filter(visible).collect::<String>().to_lowercase();
        if is_file(&word, url) {
            return false;
        }
        let names = word.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-')));
        let mut hosts = names.map(|name| name.trim_matches(['.', '-'])).filter(|name| {
            let end = name.rsplit_once('.').map_or("", |(_, end)| end);
            end.chars().count() >= 2 && end.chars().all(char::is_alphabetic)
        });
        // The first name in a URL is its host. Names after it may be part of the path.
        match hosts.next() {
            Some(host) => url.host().as_deref() != Some(host) || hosts.any(|name| !address.contains(name)),
            None => word.contains("://"),
        }
    })
}
