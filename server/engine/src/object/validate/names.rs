//! Syntax of names. From `k8s.io/apimachinery/pkg/util/validation`.

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;
const PORT_NAME_MAX: usize = 15;

/// What is wrong with a name; `None`: nothing.
pub type Complaint = Option<String>;

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// `IsDNS1123Label`.
pub fn dns_label(value: &str) -> Complaint {
    if value.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    (!is_dns_label(value)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character"
            .into()
    })
}

/// `IsDNS1123Subdomain`.
pub fn dns_subdomain(value: &str) -> Complaint {
    if value.len() > SUBDOMAIN_MAX {
        return Some(too_long(SUBDOMAIN_MAX));
    }
    (!value.split('.').all(is_dns_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character"
            .into()
    })
}

/// `dns1123LabelFmt`, which says nothing of length.
fn is_dns_label(value: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bounded(value, word, |byte| word(byte) || byte == b'-')
}

/// Whether `value` is not empty, begins and ends with `edge`, and has only `inner` between.
fn bounded(value: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match value.as_bytes() {
        [] => false,
        [only] => edge(*only),
        [first, middle @ .., last] => edge(*first) && edge(*last) && middle.iter().copied().all(inner),
    }
}

/// `qualifiedNameFmt`.
fn is_name_part(value: &str) -> bool {
    bounded(
        value,
        |byte| byte.is_ascii_alphanumeric(),
        |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte),
    )
}

/// `IsQualifiedName`: a label's key, with or without the prefix of a domain.
pub fn qualified_name(value: &str) -> Complaint {
    let (prefix, name) = match value.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, value),
    };
    if name.contains('/') {
        return Some("a qualified name is NAME or DOMAIN/NAME, such as 'example.com/MyName'".into());
    }
    if prefix == Some("") {
        return Some("prefix part must be non-empty".into());
    }
    if let Some(complaint) = prefix.and_then(dns_subdomain) {
        return Some(format!("prefix part {complaint}"));
    }
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > LABEL_MAX {
        return Some(format!("name part {}", too_long(LABEL_MAX)));
    }
    (!is_name_part(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character"
            .into()
    })
}

/// `IsValidLabelValue`.
pub fn label_value(value: &str) -> Complaint {
    if value.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    (!value.is_empty() && !is_name_part(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character"
            .into()
    })
}

/// `IsValidPortName`.
pub fn port_name(value: &str) -> Complaint {
    let complaint = if value.len() > PORT_NAME_MAX {
        return Some(too_long(PORT_NAME_MAX));
    } else if value.is_empty()
        || !value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    } else if !value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        "must contain at least one letter (a-z)"
    } else if value.contains("--") {
        "must not contain consecutive hyphens"
    } else if value.starts_with('-') || value.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return None;
    };
    Some(complaint.into())
}

/// `path.IsValidPathSegmentName`: names of RBAC objects.
pub fn path_segment(value: &str) -> Complaint {
    if value == "." || value == ".." {
        return Some(format!("may not be '{value}'"));
    }
    ['/', '%'].into_iter().find(|sign| value.contains(*sign)).map(|sign| format!("may not contain '{sign}'"))
}

#[cfg(test)]
mod tests;
