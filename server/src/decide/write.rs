//! Writes protobuf field by field, where a message of prost's would have to own what is only borrowed.
//! <https://protobuf.dev/programming-guides/encoding/>

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

/// Writes a number: a boolean, an enumeration, or an unsigned integer. Zero is what is not written, as in proto3.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        begin(out, field, WireType::Varint, value);
    }
}

/// Writes a text, unless it is empty, as in proto3.
#[inline]
pub(super) fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        begin(out, field, WireType::LengthDelimited, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// Writes a message, or a text of several parts, whatever it is: `write` writes what is in it.
#[inline]
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    // The length is not known before. Most are short: room for one byte of it is left.
    begin(out, field, WireType::LengthDelimited, 0);
    let begin = out.len();
    write(out);
    let length = out.len() - begin;
    let more = encoded_len_varint(length as u64) - 1;
    if more > 0 {
        out.resize(out.len() + more, 0);
        out.copy_within(begin..begin + length, begin + more);
    }
    encode_varint(length as u64, &mut &mut out[begin - 1..]);
}

/// Writes a field's key, and a number: its value, or its length.
#[inline]
fn begin(out: &mut Vec<u8>, field: u32, wire: WireType, number: u64) {
    let key = u64::from(field) << 3 | wire as u64;
    match (u8::try_from(key), u8::try_from(number)) {
        // As nearly all are: each takes one byte.
        (Ok(key @ ..0x80), Ok(number @ ..0x80)) => out.extend_from_slice(&[key, number]),
        _ => {
            encode_varint(key, out);
            encode_varint(number, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Inner {
        #[prost(string, repeated, tag = "1")]
        texts: Vec<String>,
        #[prost(uint64, tag = "20")]
        number: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Outer {
        #[prost(bool, tag = "1")]
        flag: bool,
        #[prost(message, optional, tag = "16")]
        inner: Option<Inner>,
        #[prost(message, repeated, tag = "3000")]
        more: Vec<Inner>,
    }

    fn inner(out: &mut Vec<u8>, inner: &Inner) {
        inner.texts.iter().for_each(|one| text(out, 1, one));
        number(out, 20, inner.number);
    }

    #[test]
    fn as_prost_writes_it() {
        // Lengths around those where the length takes a byte more.
        for length in [0, 1, 2, 123, 124, 125, 126, 127, 128, 129, 16_379, 16_380, 16_384, 16_390, 2_097_160]
        {
            for value in [0, 1, u64::MAX] {
                let texts = vec!["x".to_owned(), "y".repeat(length)];
                let texts = texts.into_iter().filter(|text| !text.is_empty()).collect();
                let one = Inner { texts, number: value };
                let more = vec![Inner::default(), one.clone(), one.clone()];
                let whole = Outer { flag: value > 0, inner: Some(one), more };
                let mut out = Vec::new();
                number(&mut out, 1, whole.flag.into());
                whole.inner.iter().for_each(|one| message(&mut out, 16, |out| inner(out, one)));
                whole.more.iter().for_each(|one| message(&mut out, 3000, |out| inner(out, one)));
                assert!(out == whole.encode_to_vec(), "{length} {value}");
            }
        }
    }
}
