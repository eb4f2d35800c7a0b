//! `metadata.uid`: tells an object from another that had its name before.

use std::fmt;

/// A UID as an API server gives it out, a UUID (RFC 9562), in its 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid([u8; 16]);

impl Uid {
    /// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`. None for any other text, which no API server has given out.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return None;
        }
        let mut uid = [0; 16];
        let mut digits = 0;
        for (place, byte) in bytes.iter().enumerate() {
            if matches!(place, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = char::from(*byte).to_digit(16)?;
            uid[digits / 2] = uid[digits / 2] << 4 | digit as u8;
            digits += 1;
        }
        Some(Self(uid))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Uid;

    #[test]
    fn what_is_read_is_written() {
        let text = "01234567-89ab-cdef-fedc-ba9876543210";
        assert_eq!(Uid::parse(text).unwrap().to_string(), text);
        assert_eq!(Uid::parse(&text.to_uppercase()), Uid::parse(text));
        let not_one =
            ["", "x", &text[1..], &format!("{text}0"), &text.replace('-', "0"), &text.replace('f', "g")];
        for text in not_one {
            assert_eq!(Uid::parse(text), None, "{text}");
        }
        // As many bytes, but not as many digits.
        assert_eq!(Uid::parse("01234567-89ab-cdef-fedc-ba98765432é"), None);
    }
}
