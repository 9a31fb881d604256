//! `multipart/form-data` (RFC 7578) as strict as WeCom reads it.
//!
//! Written by hand, because a library would decode `filename*=` and repair names; WeCom does
//! neither.

/// A part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FormPart<'b> {
    pub(super) name: String,
    /// The raw text in the quotation marks of `filename=`. WeCom ignores `filename*=`.
    pub(super) filename: Option<String>,
    pub(super) bytes: &'b [u8],
}

/// Returns the parts of a body, or `None` if there is no boundary or the body is malformed.
pub(super) fn parse_parts<'b>(content_type: &str, body: &'b [u8]) -> Option<Vec<FormPart<'b>>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = header_parameter(parameters, "boundary").filter(|b| !b.is_empty())?;
    let opening = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    // The first boundary may follow a preamble (RFC 2046 §5.1.1).
    let mut rest = match body.strip_prefix(opening.as_bytes()) {
        Some(rest) => rest,
        None => split_at_mark(body, between.as_bytes())?.1,
    };
    let mut found = Vec::new();
    while !rest.starts_with(b"--") {
        let (head, after) = split_at_mark(rest.strip_prefix(b"\r\n")?, b"\r\n\r\n")?;
        let (bytes, after) = split_at_mark(after, between.as_bytes())?;
        let head = String::from_utf8_lossy(head);
        let disposition = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let name = header_parameter(disposition, "name")?;
        found.push(FormPart { name, filename: header_parameter(disposition, "filename"), bytes });
        rest = after;
    }
    Some(found)
}

/// Splits at the first `mark`.
fn split_at_mark<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = memchr::memmem::find(bytes, mark)?;
    Some((bytes.get(..at)?, bytes.get(at.checked_add(mark.len())?..)?))
}

/// Returns a parameter of a header: `name=value` or `name="value"`.
fn header_parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (this, after) = match rest.split_once(['=', ';']) {
            Some((this, after)) if rest.as_bytes().get(this.len()) == Some(&b'=') => (this, after),
            // `form-data` itself has no value.
            Some((_, after)) => {
                rest = after;
                continue;
            }
            None => return None,
        };
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if this.trim().eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=----x";

    #[test]
    fn a_name_is_taken_as_it_stands() {
        let body = "------x\r\nContent-Disposition: form-data; name=\"media\"; filename=\"月报;v1=a.pdf\"; \
                    filelength=6\r\nContent-Type: application/octet-stream\r\n\r\nab\r\n--c\r\n------x--\r\n";
        let part =
            FormPart { name: "media".into(), filename: Some("月报;v1=a.pdf".into()), bytes: b"ab\r\n--c" };
        assert_eq!(parse_parts(TYPE, body.as_bytes()), Some(vec![part]));
    }

    #[test]
    fn an_extended_name_is_no_name() {
        let body = "------x\r\nContent-Disposition: form-data; name=\"media\"; \
                    filename*=utf-8''%E6%9C%88.pdf\r\n\r\nabcdef\r\n------x--";
        assert_eq!(parse_parts(TYPE, body.as_bytes()).unwrap()[0].filename, None);
    }

    #[test]
    fn what_is_no_form_has_no_parts() {
        assert_eq!(parse_parts("application/json", b"{}"), None);
        assert_eq!(parse_parts(TYPE, b"------x\r\nno end"), None);
        assert_eq!(parse_parts("multipart/form-data", b"--\r\n"), None);
    }
}
