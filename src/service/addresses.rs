//! Refreshing published address lists while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::http_client::{FetchError, Http};
use crate::source::addresses::{List, REFRESH, RETRY};
use crate::text_file;

/// Loads the cached list, then fetches the current one, immediately and once a day. Never returns.
pub(super) async fn keep_fresh(list: Arc<List>, http: Http, kept: PathBuf) {
    let read = kept.clone();
    let file = tokio::task::spawn_blocking(move || text_file::read(&read, text_file::MAX_FILE)).await;
    if let Ok(Ok(file)) = file
        && !list.take(&file)
    {
        tracing::warn!(list = list.published.word, file = %kept.display(), "cached address list is invalid");
    }
    loop {
        let refreshed = refresh(&list, &http, list.published.url, &kept).await;
        if let Err(reason) = &refreshed {
            let (word, as_of) = (list.published.word, list.published.as_of);
            tracing::warn!(
                list = word,
                built_in = as_of,
                %reason,
                "fetching an address list failed; the last valid list stays in use"
            );
        }
        tokio::time::sleep(if refreshed.is_ok() { REFRESH } else { RETRY }).await;
    }
}

/// Error while refreshing a list.
#[derive(Debug, Error)]
enum RefreshError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the response is not a valid address list")]
    Invalid,
    #[error("cannot write `{}`: {error}", path.display())]
    Unwritable { path: PathBuf, error: std::io::Error },
}

/// Fetches a list, applies it and caches it. On any error, the last valid list stays in use.
async fn refresh(list: &List, http: &Http, url: &str, kept: &Path) -> Result<(), RefreshError> {
    let file = http.get(url).await?;
    if !list.take(&file) {
        return Err(RefreshError::Invalid);
    }
    // Atomic: a truncated file would be invalid.
    let new_file = kept.with_extension("new");
    let written = async {
        tokio::fs::write(&new_file, &file).await?;
        tokio::fs::rename(&new_file, kept).await
    };
    written.await.map_err(|error| RefreshError::Unwritable { path: kept.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::http_client::HttpSettings;
    use crate::source::{addresses::Allowed, provider};

    /// Answers each connection with the next of these complete HTTP responses.
    async fn serve(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn valid_list_is_applied_and_cached_and_survives_invalid_responses() {
        let published = provider("bitbucket-cloud").unwrap().addresses.unwrap();
        let list = Arc::new(List::new(published));
        let allowed = Allowed { networks: vec![], lists: vec![list.clone()] };
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join(list.extension());
        let http = Http::new(&HttpSettings::default()).unwrap();
        let good = r#"{"items":[{"cidr":"198.51.100.0/24","product":["bitbucket"],"direction":["egress"]}]}"#;
        let answers = [
            ok(good),
            ok("{}"),
            ok(r#"{"items":[]}"#),
            ok("<html>login</html>"),
            "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\ncut".to_owned(),
        ];
        let count = answers.len();
        let url = serve(answers.into()).await;
        assert!(allowed.contains("104.192.136.1".parse().unwrap()), "built in");
        refresh(&list, &http, &url, &kept).await.unwrap();
        for n in 1..count {
            assert!(refresh(&list, &http, &url, &kept).await.is_err(), "answer {n}");
            assert!(allowed.contains("198.51.100.7".parse().unwrap()), "answer {n}");
            assert!(!allowed.contains("104.192.136.1".parse().unwrap()), "answer {n}");
        }
        let again = List::new(published);
        assert!(again.take(&std::fs::read(&kept).unwrap()));
        assert!(refresh(&list, &http, "http://127.0.0.1:1/", &kept).await.is_err(), "nothing listens there");
    }
}
