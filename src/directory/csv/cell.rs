//! Protects cells that a spreadsheet would calculate or change, and recognises cells that it has
//! changed.
//!
//! Excel and WPS turn what looks like a number into one when they open a CSV: leading zeros are
//! lost, and a long number is saved as it is shown, `1.38001E+10`. A cell that begins with an
//! apostrophe is text to them and is saved unchanged.

use unicode_normalization::{UnicodeNormalization as _, is_nfkc};

/// The mark in front of a cell that is text.
const TEXT_MARK: char = '\'';

/// The error values of spreadsheets.
const SPREADSHEET_ERRORS: [&str; 8] =
    ["#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!"];

/// The number of digits that a spreadsheet keeps of a number.
const MAX_KEPT_DIGITS: usize = 15;

const MONTH_NAMES: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// What a spreadsheet did to a cell, in English and in Chinese.
pub(super) type CellDamage = (&'static str, &'static str);

/// Returns the cell with a mark if a spreadsheet would calculate or change it.
pub(super) fn guard_cell(cell: &str) -> String {
    if is_changed_by_spreadsheets(cell) || cell.starts_with(TEXT_MARK) {
        format!("{TEXT_MARK}{cell}")
    } else {
        cell.to_owned()
    }
}

/// Returns the cell without its mark, or `None` if it has no mark. The inverse of [`guard_cell`].
pub(super) fn unguard_cell(cell: &str) -> Option<&str> {
    cell.strip_prefix(TEXT_MARK)
        .filter(|inner| is_changed_by_spreadsheets(inner) || inner.starts_with(TEXT_MARK))
}

fn is_changed_by_spreadsheets(cell: &str) -> bool {
    let shown = cell.trim_start_matches(is_invisible);
    let begins_unseen = shown.len() != cell.len();
    begins_unseen || shown.starts_with(starts_formula) || looks_like_number(shown) || !has_plain_digits(shown)
}

/// Returns whether this first character makes a cell a formula.
///
/// Also for full-width and small forms, which East Asian editions and later readers of the file
/// take for the plain ones.
fn starts_formula(c: char) -> bool {
    // NFKC does not turn the minus sign into a hyphen.
    c == '\u{2212}' || c.nfkc().next().is_some_and(|plain| matches!(plain, '=' | '+' | '-' | '@'))
}

/// Returns whether a character is invisible: blanks, control characters, zero-width characters.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns whether a cell could be taken for a number, a date, a time, an amount of money or a
/// truth value.
///
/// The test is wider than the rules of any edition: a mark too many changes nothing.
fn looks_like_number(cell: &str) -> bool {
    let plain = cell.nfkc().collect::<String>().to_lowercase();
    let number = plain.trim_start_matches(['.', ',', '$', '¥', '€', '£', '(', '%']);
    let of_number =
        |c: char| c.is_ascii() || matches!(c, '年' | '月' | '日' | '时' | '分' | '秒' | '上' | '下' | '午');
    (number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(of_number))
        || plain.starts_with('#')
        || matches!(plain.trim_end(), "true" | "false")
        || begins_with_month(&plain)
}

/// Returns whether a cell looks like `mar1`, `Sept-2` or `May 3`: dates to an English spreadsheet.
fn begins_with_month(plain: &str) -> bool {
    let letters = plain.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let word = plain.strip_suffix(letters).unwrap_or_default();
    let rest = letters.trim_start_matches(['-', '/', '.', ' ', ',']);
    let is_month = word.len() >= 3 && MONTH_NAMES.iter().any(|month| month.starts_with(word));
    is_month && rest.starts_with(|c: char| c.is_ascii_digit())
}

/// Returns whether all digits of a cell are plain ones.
fn has_plain_digits(cell: &str) -> bool {
    is_nfkc(cell) || !cell.chars().any(|c| c.nfkc().any(|plain| plain.is_ascii_digit()))
}

/// Returns the damage to a cell of any column.
pub(super) fn find_damage(cell: &str) -> Option<CellDamage> {
    let error = SPREADSHEET_ERRORS.iter().any(|error| cell.eq_ignore_ascii_case(error));
    (error || (cell.len() > 1 && cell.bytes().all(|b| b == b'#')))
        .then_some(("is what a spreadsheet shows instead of a value", "是电子表格代替内容显示的符号"))
}

/// Returns the damage to a cell by which persons are recognised: it would be the key of somebody
/// else, or of nobody.
pub(super) fn find_key_damage(cell: &str) -> Option<CellDamage> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if cell.starts_with('=') {
        return Some(("is a formula", "是公式"));
    }
    if !is_nfkc(cell) {
        return Some(("has full-width characters", "含有全角字符"));
    }
    let (whole, fraction) = cell.split_once('.').unwrap_or((cell, ""));
    let number = cell.to_ascii_uppercase();
    if let Some((mantissa, exponent)) = number.split_once('E')
        && digits(&mantissa.replacen('.', "", 1))
        && exponent.strip_prefix(['+', '-']).is_some_and(digits)
    {
        return Some((
            "is a long number as a spreadsheet shows it, its last digits are lost",
            "是电子表格显示的长数字，末尾的数字已丢失",
        ));
    }
    if digits(whole) && !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') {
        return Some(("is a number with decimals", "是带小数的数字"));
    }
    let beyond = cell
        .get(MAX_KEPT_DIGITS..)
        .filter(|rest| !rest.is_empty() && digits(cell) && rest.bytes().all(|b| b == b'0'));
    beyond.map(|_| {
        (
            "has zeros after the 15 digits that a spreadsheet keeps of a number",
            "只有前 15 位数字，其后都被电子表格换成了 0",
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_formula_is_written_however_its_sign_is_written() {
        for sign in ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹢", "﹣", "﹦", "﹫", "−"] {
            for before in [
                "",
                " ",
                "\t",
                "\r",
                "\n",
                "\r\n ",
                "\u{3000}",
                "\u{a0}",
                "\u{200b}",
                "\u{feff}\t",
                "\u{202e}",
            ] {
                let cell = format!("{before}{sign}1+1");
                assert_eq!(guard_cell(&cell), format!("'{cell}"), "{cell:?}");
                assert_eq!(unguard_cell(&guard_cell(&cell)), Some(cell.as_str()));
            }
        }
    }

    #[test]
    fn what_a_spreadsheet_would_change_is_written_as_text() {
        for changed in [
            "007",
            "13800138000",
            "110101199003070012",
            "1.50",
            "1e5",
            "1-2",
            "3/4",
            "2026-01-02",
            "8:30",
            "5%",
            "1,000",
            "１３８",
            "¥5",
            "$5",
            "(5)",
            ".5",
            "mar1",
            "Sept-2",
            "MAY 3",
            "3月1日",
            "TRUE",
            "false",
            "#N/A",
            " x",
            "7a",
        ] {
            assert_eq!(guard_cell(changed), format!("'{changed}"));
        }
        for kept in [
            "zhangsan",
            "张三",
            "3组",
            "A-7",
            "marta",
            "mars1",
            "may",
            "研发部/前端组",
            "trueman",
            "a@b.c",
            "",
        ] {
            assert_eq!(guard_cell(kept), kept);
        }
    }

    #[test]
    fn a_key_that_a_spreadsheet_changed_is_told_from_one_that_looks_odd() {
        for damaged in [
            "1.38001E+10",
            "1E+10",
            "1.38e-5",
            "=\"13800138000\"",
            "13800138004.0",
            "7.000",
            "１３８",
            "a＠b",
            "110101199003070000",
        ] {
            assert!(find_key_damage(damaged).is_some(), "{damaged}");
        }
        for good in [
            "13800138000",
            "1E5",
            "A.0",
            "1.5",
            "007",
            "+86 138",
            "a+b",
            "w#1",
            "张三",
            "110101199003070010",
            "100000000000000",
        ] {
            assert_eq!(find_key_damage(good), None, "{good}");
        }
        assert!(find_damage("########").is_some() && find_damage("#n/a").is_some());
        assert!(find_damage("#").is_none() && find_damage("#1").is_none() && find_damage("").is_none());
    }

    proptest! {
        #[test]
        fn every_cell_is_read_back_and_none_begins_with_a_sign(cell in "['=+@,\"＝＠ 0-9a-]{0,6}|\\PC{0,8}") {
            let written = guard_cell(&cell);
            prop_assert!(!written.trim_start_matches(is_invisible).starts_with(starts_formula));
            prop_assert_eq!(unguard_cell(&written).unwrap_or(&written), &cell);
        }
    }
}
