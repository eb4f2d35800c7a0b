use super::*;

fn split(text: &str) -> Vec<(Option<usize>, &str)> {
    documents(text).into_iter().map(|document| (document.content_line(), document.text.trim())).collect()
}

#[test]
fn cut_by_lines() {
    for (text, expected) in [
        ("", vec![(None, "")]),
        ("a: 1", vec![(Some(1), "a: 1")]),
        ("---\na: 1\n", vec![(None, ""), (Some(2), "a: 1")]),
        ("a: 1\n---\n# c\n\nb: 2\n", vec![(Some(1), "a: 1"), (Some(5), "# c\n\nb: 2")]),
        ("a: 1\r\n---\r\nb: 2\r\n", vec![(Some(1), "a: 1"), (Some(3), "b: 2")]),
        ("a: 1\n--- # c\nb: 2", vec![(Some(1), "a: 1"), (Some(3), "# c\nb: 2")]),
        ("--- {a: 1}\n--- b", vec![(None, ""), (Some(1), "{a: 1}"), (Some(2), "b")]),
        ("a: |\n  ---\n  x\n----\n", vec![(Some(1), "a: |\n  ---\n  x\n----")]),
        ("a: 1\n...\n---\n", vec![(Some(1), "a: 1\n..."), (None, "")]),
    ] {
        assert_eq!(split(text), expected, "{text:?}");
    }
}
