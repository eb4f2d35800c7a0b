//! Texts as Go writes them: Kubernetes' messages are built with its formatting.

use std::fmt::{self, Write as _};

/// Go's `%q`: `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    // Writing to a String cannot fail.
    let _ = write!(quoted, "{}", Quoted(text));
    quoted
}

/// The same, to be written when somebody reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\u{7}' => f.write_str("\\a")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{c}' => f.write_str("\\f")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{b}' => f.write_str("\\v")?,
                c if c.is_ascii_control() => write!(f, "\\x{:02x}", c as u32)?,
                c if is_printable(c) => f.write_char(c)?,
                c if (c as u32) < 0x1_0000 => write!(f, "\\u{:04x}", c as u32)?,
                c => write!(f, "\\U{:08x}", c as u32)?,
            }
        }
        f.write_char('"')
    }
}

/// Items with something between them, to be written when somebody reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined<'a, T>(pub &'a [T], pub &'static str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, self.0, self.1, |f, item| item.fmt(f))
    }
}

/// Writes items with something between them.
pub(crate) fn join<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    between: &str,
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols, and of all spaces the ASCII one.
///
/// The standard library escapes the same classes of characters for `Debug`, and besides a mark that has nothing before
/// it to stand on; so it is given a letter.
fn is_printable(c: char) -> bool {
    let mut text = String::with_capacity(5);
    text.push('a');
    text.push(c);
    c == ' ' || c.is_ascii_graphic() || !c.is_ascii() && text.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::quote;

    /// What `strconv.Quote` of Go makes of each.
    #[test]
    fn quotes_like_go() {
        let cases = [
            ("", r#""""#),
            ("web-0 é 日本 😀", r#""web-0 é 日本 😀""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{7}\u{8}\u{b}\u{c}\r\n\t", r#""\a\b\v\f\r\n\t""#),
            ("\u{0}\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            // Control, non-breaking space, soft hyphen, zero-width space, line separator, private use, byte order mark.
            (
                "\u{85}\u{a0}\u{ad}\u{200b}\u{2028}\u{e000}\u{feff}",
                r#""\u0085\u00a0\u00ad\u200b\u2028\ue000\ufeff""#,
            ),
            ("\u{e0001}\u{10ffff}", r#""\U000e0001\U0010ffff""#),
            // A combining mark is printed, also where it stands first.
            ("\u{301}e\u{301}", "\"\u{301}e\u{301}\""),
            ("\u{fffd}", "\"\u{fffd}\""),
        ];
        for (text, quoted) in cases {
            assert_eq!(quote(text), quoted, "{text:?}");
        }
    }
}
