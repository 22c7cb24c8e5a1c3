use super::*;
use crate::telemetry::{AccessLogOptions, LogFormat, Options, Record};
use fairlead_net::http::{Fields, Method};

fn telemetry(buffer: usize) -> Telemetry {
    let access_log = Some(AccessLogOptions { format: LogFormat::Common, buffer, ..Default::default() });
    Telemetry::new(Options { workers: 2, access_log, ..Default::default() })
}

fn request(telemetry: &Telemetry, path: &str) {
    let (entry_point, fields) = (telemetry.entry_point("web"), Fields::new());
    let trace = telemetry.trace(&fields);
    telemetry.finish(&Record { status: 200, ..Record::new(&entry_point, &Method::Get, "a.b", path, &fields) }, trace);
}

#[tokio::test]
async fn close_writes_what_is_there_and_ends() {
    let telemetry = telemetry(1 << 20);
    let (sink, drain) = (MemorySink::default(), telemetry.log_drain().expect("a log"));
    request(&telemetry, "/first");
    request(&telemetry.for_worker(1), "/second");
    telemetry.close();
    write_logs(telemetry, drain, Box::new(sink.clone()), Reopen::default()).await;
    let text = sink.text();
    assert!(text.lines().count() == 2 && text.contains("/first") && text.contains("/second"), "{text}");
}

#[tokio::test]
async fn lines_are_written_while_the_process_runs() {
    let telemetry = telemetry(1 << 20);
    let (written, mut batches) = tokio::sync::mpsc::unbounded_channel();
    struct Told(tokio::sync::mpsc::UnboundedSender<usize>);
    impl LogSink for Told {
        fn write(&mut self, batch: &[u8]) -> io::Result<()> {
            self.0.send(batch.iter().filter(|b| **b == b'\n').count()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }
    let drain = telemetry.log_drain().expect("a log");
    let writing = task::spawn(write_logs(telemetry.clone(), drain, Box::new(Told(written)), Reopen::default()));
    for _ in 0..3 {
        request(&telemetry, "/a");
        request(&telemetry, "/b");
        assert_eq!(batches.recv().await, Some(2), "both lines in one batch, without waiting for the end");
    }
    telemetry.close();
    writing.await.expect("the writer ends");
}

#[test]
fn lines_beyond_the_buffer_are_dropped_and_counted() {
    let telemetry = telemetry(300);
    for _ in 0..10 {
        request(&telemetry, "/a");
    }
    let mut sink = MemorySink::default();
    telemetry.log_drain().expect("a log").write_to(&mut sink).expect("memory takes everything");
    let kept = sink.text().lines().count();
    assert!((1..10).contains(&kept), "{kept} lines in a buffer of 300 bytes");
    let metrics = telemetry.render_prometheus(Duration::ZERO);
    assert!(metrics.contains(&format!("fairlead_access_log_dropped_lines_total {}\n", 10 - kept)), "{metrics}");
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_later_ones_are_written() {
    struct Full(MemorySink, usize);
    impl LogSink for Full {
        fn write(&mut self, batch: &[u8]) -> io::Result<()> {
            if self.1 > 0 {
                self.1 -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write(batch)
        }
    }
    let telemetry = telemetry(1 << 20);
    let memory = MemorySink::default();
    let (mut drain, mut sink) = (telemetry.log_drain().expect("a log"), Full(memory.clone(), 1));
    request(&telemetry, "/lost");
    assert_eq!(drain.write_to(&mut sink).expect_err("a full disk").kind(), io::ErrorKind::StorageFull);
    request(&telemetry, "/kept");
    drain.write_to(&mut sink).expect("room again");
    assert!(memory.text().contains("/kept") && !memory.text().contains("/lost"));
    assert!(telemetry.render_prometheus(Duration::ZERO).contains("fairlead_access_log_dropped_lines_total 1\n"));
}

#[cfg(not(madsim))]
#[test]
fn a_moved_file_is_opened_again() {
    let dir = std::env::temp_dir().join(format!("fairlead-log-{}", std::process::id()));
    let (path, moved) = (dir.join("logs/access.log"), dir.join("logs/access.log.1"));
    let mut sink = FileSink::open(&path).expect("a directory of our own");
    sink.write(b"one\n").expect("written");
    std::fs::rename(&path, &moved).expect("moved");
    sink.write(b"two\n").expect("written to the moved file");
    sink.reopen().expect("opened again");
    sink.write(b"three\n").expect("written");
    let read = |path| std::fs::read_to_string(path).expect("read");
    assert_eq!((read(&moved), read(&path)), ("one\ntwo\n".to_owned(), "three\n".to_owned()));
    std::fs::remove_dir_all(&dir).expect("removed");
}
