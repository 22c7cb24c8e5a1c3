use super::*;
use crate::provider::{Receiver, channel};
use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const ROUTER: &str = "http:\n  routers:\n    NAME:\n      rule: Path(`/NAME`)\n      service: s\n";

fn router(name: &str) -> String {
    ROUTER.replace("NAME", name)
}

/// A directory of its own that goes away with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fairlead-file-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().expect("below the directory")).expect("a directory");
        fs::write(self.path(name), text).expect("a file");
    }

    /// As editors and configuration management do it.
    fn replace(&self, name: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.path(".new"), self.path(name)).expect("a rename");
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

struct Running {
    heard: Receiver,
    _task: task::Owned<ProviderError>,
}

/// Runs a provider as its watch would: again after each error.
fn run(path: FilePath) -> Running {
    let mut provider = FileProvider::new(&Options { path, watch: true });
    let (out, heard) = channel();
    let runs = async move {
        loop {
            let error = provider.run(&out).await;
            out.send(EventKind::Failing { message: error.message, since: now() });
            sleep(Duration::from_millis(20)).await;
        }
    };
    Running { heard, _task: task::spawn(runs).owned() }
}

impl Running {
    async fn next(&mut self) -> EventKind {
        timeout(Duration::from_secs(20), self.heard.recv()).await.expect("an event")
    }

    /// The next configuration, its rejections and revision; failures between are skipped.
    async fn configuration(&mut self) -> (RawDynamic, Vec<Rejection>, String) {
        loop {
            if let EventKind::Configuration { raw, rejections, revision } = self.next().await {
                return (raw, rejections, revision);
            }
        }
    }

    async fn until_raw(&mut self, wanted: &RawDynamic) {
        while self.configuration().await.0 != *wanted {}
    }

    async fn failing(&mut self) -> String {
        loop {
            if let EventKind::Failing { message, .. } = self.next().await {
                return message;
            }
        }
    }
}

fn single(dir: &Dir, name: &str) -> FilePath {
    FilePath::File(dir.path(name).to_string_lossy().into_owned())
}

fn whole(dir: &Dir) -> FilePath {
    FilePath::Directory(dir.0.to_string_lossy().into_owned())
}

/// What `text` means as the file `name`.
fn raw(dir: &Dir, name: &str, text: &str) -> RawDynamic {
    let path = dir.path(name);
    let format = scan::format(&path).expect("a known extension");
    decode(&parse(text, format, &path.to_string_lossy(), MAX_FILE).expect("valid")).0
}

#[tokio::test]
async fn a_file_replaced_by_a_rename_or_rewritten_in_place_is_taken_over() {
    let dir = Dir::new();
    dir.write("a.yml", &router("one"));
    let mut running = run(single(&dir, "a.yml"));
    let first = running.configuration().await;
    assert_eq!((first.0, first.1.len()), (raw(&dir, "a.yml", &router("one")), 0));
    dir.replace("a.yml", &router("two"));
    running.until_raw(&raw(&dir, "a.yml", &router("two"))).await;
    dir.write("a.yml", &router("three"));
    running.until_raw(&raw(&dir, "a.yml", &router("three"))).await;
    // Back to an earlier state: the revision says so.
    dir.replace("a.yml", &router("one"));
    while running.configuration().await.2 != first.2 {}
}

#[tokio::test]
async fn an_invalid_file_keeps_its_last_state_and_says_where() {
    let dir = Dir::new();
    dir.write("a.yml", &router("one"));
    let mut running = run(single(&dir, "a.yml"));
    let (good, ..) = running.configuration().await;
    dir.replace("a.yml", &format!("{}    two: [\n", router("one")));
    let (kept, rejections, _) = running.configuration().await;
    assert_eq!(kept, good);
    assert!(rejections[0].source.contains("a.yml:") && rejections[0].message.ends_with(KEPT), "{rejections:?}");
    assert!(running.failing().await.contains("a.yml"));
    dir.replace("a.yml", &router("two"));
    running.until_raw(&raw(&dir, "a.yml", &router("two"))).await;
}

#[tokio::test]
async fn a_file_that_was_never_valid_is_a_failure_and_no_configuration() {
    let dir = Dir::new();
    dir.write("a.yml", "http: [");
    let mut running = run(single(&dir, "a.yml"));
    assert!(matches!(running.next().await, EventKind::Failing { message, .. } if message.contains("a.yml")));
    dir.replace("a.yml", &router("one"));
    running.until_raw(&raw(&dir, "a.yml", &router("one"))).await;
}

#[tokio::test]
async fn a_missing_file_is_waited_for_and_one_that_goes_missing_is_missed() {
    let dir = Dir::new();
    let mut running = run(single(&dir, "a.toml"));
    assert!(running.failing().await.contains("cannot be read"));
    let text = "[http.routers.one]\nrule = \"Path(`/one`)\"\nservice = \"s\"\n";
    dir.replace("a.toml", text);
    running.until_raw(&raw(&dir, "a.toml", text)).await;
    fs::remove_file(dir.path("a.toml")).expect("it is there");
    let (kept, rejections, _) = running.configuration().await;
    assert_eq!((kept, rejections.len()), (raw(&dir, "a.toml", text), 1));
}

/// A writer empties the file and is slow to fill it: the empty state is never taken over.
#[tokio::test]
async fn a_file_cut_short_is_given_time() {
    let dir = Dir::new();
    let long = format!("{}{}", router("one"), "# and a comment that is long\n".repeat(20));
    dir.write("a.yml", &long);
    let mut provider = FileProvider::new(&Options { path: single(&dir, "a.yml"), watch: true });
    assert_eq!(provider.look().await, Ok(true));
    let known = provider.seen.clone();
    for cut in [0, 10, long.len() - 1] {
        dir.write("a.yml", &long[..cut]);
        let seen = scan::look(&provider.path).await.expect("readable");
        assert!(seen.is_cut_from(&known), "cut at {cut}");
        // The writer goes on while the provider waits.
        let began = now();
        let (looked, ()) = tokio::join!(provider.look(), async { dir.write("a.yml", &long) });
        assert_eq!(looked, Ok(false), "cut at {cut}: what was there before is there again");
        assert_eq!(provider.seen, known);
        assert!(now() - began < 3 * SETTLE_CUT);
    }
    dir.write("a.yml", &router("two"));
    assert!(!scan::look(&provider.path).await.expect("readable").is_cut_from(&known), "another text is no cut");
    // A file that stays empty was emptied on purpose.
    dir.write("a.yml", "");
    assert_eq!(provider.look().await, Ok(true));
}

/// Found by a simulated world: a writer empties the file, writes the beginning of another text, and goes on later.
#[tokio::test]
async fn what_follows_a_file_cut_short_is_given_time_too() {
    let dir = Dir::new();
    dir.write("a.yml", &router("one"));
    let mut provider = FileProvider::new(&Options { path: single(&dir, "a.yml"), watch: true });
    assert_eq!(provider.look().await, Ok(true));
    dir.write("a.yml", "");
    let (looked, ()) = tokio::join!(provider.look(), async {
        sleep(SETTLE * 5).await;
        dir.write("a.yml", "http: {}\n");
        sleep(SETTLE * 10).await;
        dir.write("a.yml", &router("two"));
    });
    assert_eq!(looked, Ok(true));
    assert!(
        scan::look(&provider.path).await.expect("readable").says_the_same(&provider.seen),
        "nothing but the whole was taken over"
    );
}

/// Found by a simulated world: two writers in a row, each met with its file empty. The same twice is not the same all the time.
#[tokio::test]
async fn a_file_that_was_written_between_two_looks_has_not_rested() {
    let dir = Dir::new();
    dir.write("a.yml", &router("one"));
    let mut provider = FileProvider::new(&Options { path: single(&dir, "a.yml"), watch: true });
    assert_eq!(provider.look().await, Ok(true));
    dir.write("a.yml", "");
    let empty = scan::look(&provider.path).await.expect("readable");
    let began = now();
    let (rests, ()) = tokio::join!(provider.rests(&empty, SETTLE_CUT), async {
        dir.replace("a.yml", &router("two"));
        dir.replace("a.yml", "");
    });
    let again = rests.expect("readable").expect_err("somebody wrote meanwhile");
    assert!(again.says_the_same(&empty) && now() - began < SETTLE_CUT);
    assert_eq!(provider.rests(&again, SETTLE_CUT).await, Ok(Ok(())));
}

#[tokio::test]
async fn a_swap_of_links_as_kubernetes_does_it_is_a_change() {
    let dir = Dir::new();
    dir.write("..1/a.yml", &router("one"));
    dir.write("..2/a.yml", &router("two"));
    symlink("..1", dir.path("..data")).expect("a link");
    symlink("..data/a.yml", dir.path("a.yml")).expect("a link");
    let mut running = run(whole(&dir));
    // `..1` and `..2` are hidden: only the link counts.
    let (first, rejections, _) = running.configuration().await;
    assert_eq!((first, rejections.len()), (merged(&dir, &[("a.yml", &router("one"))]), 0));
    symlink("..2", dir.path("..tmp")).expect("a link");
    fs::rename(dir.path("..tmp"), dir.path("..data")).expect("a rename");
    running.until_raw(&merged(&dir, &[("a.yml", &router("two"))])).await;
}

/// What files in a directory mean together.
fn merged(dir: &Dir, files: &[(&str, &str)]) -> RawDynamic {
    let trees = files.iter().map(|(name, text)| {
        let path = dir.path(name);
        parse(text, scan::format(&path).expect("known"), &path.to_string_lossy(), MAX_FILE).expect("valid")
    });
    decode(&merge::merge(&dir.0.to_string_lossy(), trees).0).0
}

#[tokio::test]
async fn files_of_a_directory_stand_for_themselves() {
    let dir = Dir::new();
    dir.write("a.yml", &router("one"));
    dir.write("sub/deep/b.toml", "[http.routers.two]\nrule = \"Path(`/two`)\"\nservice = \"s\"\n");
    dir.write("broken.yaml", "http: {");
    dir.write(".hidden.yml", "http: {");
    dir.write("notes.txt", "http: {");
    let two = "[http.routers.two]\nrule = \"Path(`/two`)\"\nservice = \"s\"\n";
    let mut running = run(whole(&dir));
    let (first, rejections, _) = running.configuration().await;
    assert_eq!(first, merged(&dir, &[("a.yml", &router("one")), ("sub/deep/b.toml", two)]));
    assert_eq!(rejections.len(), 1);
    assert!(rejections[0].source.contains("broken.yaml:"));

    // A new directory, noticed and watched.
    dir.write("sub2/c.yml", &router("three"));
    let three = router("three");
    running.until_raw(&merged(&dir, &[("a.yml", &router("one")), ("sub/deep/b.toml", two), ("sub2/c.yml", &three)])).await;
    dir.replace("sub2/c.yml", &router("four"));
    let four = router("four");
    running.until_raw(&merged(&dir, &[("a.yml", &router("one")), ("sub/deep/b.toml", two), ("sub2/c.yml", &four)])).await;

    // One file less is a change; all of them at once is not believed.
    fs::remove_file(dir.path("sub2/c.yml")).expect("it is there");
    running.until_raw(&merged(&dir, &[("a.yml", &router("one")), ("sub/deep/b.toml", two)])).await;
    let hidden = dir.path(".unmounted");
    fs::create_dir(&hidden).expect("a directory");
    for name in ["a.yml", "sub", "broken.yaml"] {
        fs::rename(dir.path(name), hidden.join(name)).expect("a rename");
    }
    while !running.failing().await.contains("vanished at once") {}
}

#[tokio::test]
async fn the_first_file_keeps_a_name_and_the_other_is_told() {
    let dir = Dir::new();
    dir.write("a.yml", &router("one"));
    dir.write(
        "b.yml",
        &format!("{}    two:\n      rule: Path(`/2`)\n      service: s\n", router("one").replace("`/one`", "`/other`")),
    );
    let mut running = run(whole(&dir));
    let (_, rejections, _) = running.configuration().await;
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    let Rejection { source, key, message, .. } = &rejections[0];
    assert!(source.contains("b.yml:3") && key.ends_with("routers.one") && message.contains("a.yml"), "{rejections:?}");
}

#[tokio::test]
async fn a_template_is_refused_with_the_reason() {
    let dir = Dir::new();
    dir.write("a.yml", "http:\n{{ range . }}\n  routers: {}\n{{ end }}\n");
    assert!(run(single(&dir, "a.yml")).failing().await.contains("templates"));
}

#[tokio::test]
async fn bytes_that_are_no_text_and_unknown_extensions_are_told() {
    let dir = Dir::new();
    fs::write(dir.path("a.yml"), b"a: 1\nb: \xff\n").expect("a file");
    assert!(run(single(&dir, "a.yml")).failing().await.contains("a.yml:2: "));
    assert!(run(single(&dir, "a.json")).failing().await.contains(".toml"));
}
