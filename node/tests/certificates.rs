//! `holdfast cert new`: the files, who may read them, and what is never done.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Exit code, standard output and standard error.
fn cert_new(out: &Path, nodes: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["cert", "new", "--nodes", nodes, "--out"])
        .arg(out)
        .output()
        .expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn certificates_are_made_once_and_keys_are_for_their_owner() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("certificates");
    let (code, text, _) = cert_new(&out, "2");
    assert_eq!(code, Some(0));
    for file in ["ca.pem", "ca.key", "node-1.pem", "node-1.key", "node-2.pem", "node-2.key"] {
        let path = out.join(file);
        let mode = std::fs::metadata(&path).expect("made").permissions().mode() & 0o777;
        assert_eq!(mode, if file.ends_with(".key") { 0o600 } else { 0o644 }, "{file}");
        assert!(text.contains(&path.display().to_string()), "{file} is not in: {text}");
    }
    let before = std::fs::read(out.join("ca.pem")).expect("made");
    let (code, _, complaint) = cert_new(&out, "3");
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("ca.pem exists and is not overwritten"), "{complaint}");
    assert_eq!(std::fs::read(out.join("ca.pem")).expect("still there"), before);
    assert!(!out.join("node-3.pem").exists(), "all or nothing");
}

#[test]
fn certificates_for_nobody_or_nowhere_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, complaint) = cert_new(&dir.path().join("none"), "0");
    assert_eq!(code, Some(2), "{complaint}");
    std::fs::write(dir.path().join("file"), "").expect("written");
    let (code, _, complaint) = cert_new(&dir.path().join("file/below"), "1");
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("cannot write"), "{complaint}");
}
