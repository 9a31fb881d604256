//! Tables of persons.

use proptest::prelude::*;

use super::write::unit_cell;
use super::*;
use crate::base::id::{CorpId, PersonId, UnitId};
use crate::directory::chart::Chart;
use crate::directory::{EntrySource, Membership, Person, Unit};

fn unit(id: &str, number: Option<u32>, name: &str, parent: Option<&str>) -> Unit {
    Unit {
        id: number.map_or_else(|| UnitId::new(id), |n| UnitId::from_department(&CorpId::new("ww1"), n)),
        wecom_id: number,
        source: if number.is_some() { EntrySource::Wecom } else { EntrySource::Local },
        parent: parent.map(UnitId::new),
        name: name.into(),
        name_en: String::new(),
        order: 0,
        leaders: vec![],
    }
}

fn chart(units: Vec<Unit>) -> Chart {
    Chart::new(1, None, units, vec![])
}

fn lines(findings: &[CsvFinding]) -> Vec<u64> {
    findings.iter().map(|finding| finding.line).collect()
}

/// Parses a file and drops its format.
fn read(bytes: &[u8]) -> Result<Vec<CsvRecord>, Vec<CsvFinding>> {
    super::parse_table(bytes).map(|(records, _)| records)
}

fn written(person: &Person, chart: &Chart) -> String {
    let mut out = Vec::new();
    write_headings(&mut out).unwrap();
    write_person(&mut out, person, chart).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn headings_are_read_in_either_language_any_case_and_any_order() {
    let records = read("姓名, USERID ,部门\n甲,a,\"x;y；z\"\n".as_bytes()).unwrap();
    assert_eq!(records[0].userid.as_str(), "a");
    assert_eq!(records[0].cell(Column::Name), Some("甲"));
    assert_eq!(records[0].unit_paths().collect::<Vec<_>>(), ["x", "y", "z"]);
    assert_eq!(records[0].cell(Column::Mobile), None);
}

#[test]
fn a_finding_names_the_line_where_its_row_begins() {
    let text = "\u{feff}userid,name\r\na,\"two\r\nlines\"\r\n\r\n,x\r\nA,x\r\nb\r\n";
    assert_eq!(lines(&read(text.as_bytes()).unwrap_err()), [5, 6, 7]);
    assert_eq!(lines(&read(b"userid\na\n\xff").unwrap_err()), [3]);
}

#[test]
fn rows_that_a_spreadsheet_pads_with_empty_cells_are_read() {
    let records = read(b"userid,name\na,x,,\n,,,\n").unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(lines(&read(b"userid,name\na,x,,y\n").unwrap_err()), [2]);
}

#[test]
fn missing_units_are_those_of_the_path_that_are_not_there_from_above() {
    let chart = chart(vec![unit("", Some(2), "研发部", None), unit("l", None, "外部", None)]);
    let names = |path: &str| {
        let missing = missing_units(&chart, path)?;
        Ok::<_, String>(missing.into_iter().map(|(_, _, path)| path).collect::<Vec<_>>())
    };
    assert_eq!(names("研发部"), Ok(vec![]));
    assert_eq!(names("/研发部 / 甲/乙"), Ok(vec!["研发部/甲".into(), "研发部/甲/乙".into()]));
    assert_eq!(names("新"), Ok(vec!["新".into()]));
    for bad in ["wecom:9", "01930000-0000-7000-8000-000000000000", "a//b", "/"] {
        assert!(names(bad).is_err(), "{bad}");
    }
    let twins = self::chart(vec![unit("", Some(5), "组", Some("x")), unit("", Some(6), "组", Some("y"))]);
    assert!(missing_units(&twins, "组/甲").is_err(), "below which of the two?");
}

#[test]
fn a_unit_that_two_rows_need_is_made_once_and_never_deeper_than_allowed() {
    let records = read("userid,name,units\na,x,甲/乙\nb,y,甲/丙;甲\n".as_bytes()).unwrap();
    let plan = plan_import(records, chart(vec![]), &HashMap::new()).unwrap();
    assert_eq!(plan.units, ["甲", "甲/乙", "甲/丙"]);
    assert_eq!((plan.persons.len(), plan.same), (2, 0));
    let deep = format!("userid,name,units\na,x,{}\n", ["x"; 16].join("/"));
    let findings =
        self::plan_import(read(deep.as_bytes()).unwrap(), chart(vec![]), &HashMap::new()).unwrap_err();
    assert_eq!(lines(&findings), [2]);
}

#[test]
fn order_and_lead_of_a_place_that_stays_are_kept_and_the_main_unit_too() {
    let chart = chart(vec![unit("a", None, "甲", None), unit("b", None, "乙", None)]);
    let place = |unit: &str, order, leader| Membership { unit: UnitId::new(unit), order, leader };
    let mut before = Person::new_local(PersonId::new(""), UserId::new("p"));
    before.name = "x".into();
    before.memberships = vec![place("a", 7, true)];
    before.main_unit = Some(UnitId::new("a"));
    let record = read("userid,units\nP,乙;甲\n".as_bytes()).unwrap().remove(0);
    let after = record.apply_to(Some(&before), &chart).unwrap();
    assert_eq!(after.memberships, [place("b", 0, false), place("a", 7, true)]);
    assert_eq!((after.main_unit.as_ref().map(UnitId::as_str), after.userid.as_str()), (Some("a"), "p"));
    let record = read("userid,units\nP,乙\n".as_bytes()).unwrap().remove(0);
    let after = record.apply_to(Some(&before), &chart).unwrap();
    assert_eq!(after.main_unit.as_ref().map(UnitId::as_str), Some("b"));
}

#[test]
fn an_employee_number_stays_in_the_attribute_that_holds_it() {
    let mut before = Person::new_local(PersonId::new(""), UserId::new("p"));
    before.name = "x".into();
    before.details.attributes = [("Employee ID".to_owned(), "1".to_owned())].into();
    let applied = |text: &str| {
        let record = read(text.as_bytes()).unwrap().remove(0);
        record.apply_to(Some(&before), &chart(vec![])).unwrap().details.attributes
    };
    assert_eq!(applied("userid,工号\np,2\n"), [("Employee ID".to_owned(), "2".to_owned())].into());
    assert!(applied("userid,工号\np,\n").is_empty());
}

#[test]
fn a_unit_is_written_so_that_it_is_found_again() {
    let chart = chart(vec![
        unit("", Some(5), "组", Some("x")),
        unit("", Some(6), "组", Some("y")),
        unit("l", None, "甲;乙", None),
        unit("m", None, "组 ", None),
        unit("", Some(7), "研发部", None),
    ]);
    for placed in chart.units() {
        let name = unit_cell(&chart, &placed.unit.id).unwrap();
        assert_eq!(find_unit(&chart, name.trim()), Ok(placed.unit.id.clone()), "{name}");
    }
    assert_eq!(unit_cell(&chart, &unit("", Some(7), "", None).id).as_deref(), Some("研发部"));
}

#[test]
fn a_key_that_a_spreadsheet_changed_is_refused_with_its_cell_in_both_languages() {
    let text = "userid,姓名,手机,工号\na,甲,1.38001E+10,7\nb,乙,\"=\"\"13800138000\"\"\",7\nc,丙,13800138004.0,７\n\
                d,1.5E+3,'1.38001E+10,'007\ne,#NAME?,13800138000,008\n";
    let findings = read(text.as_bytes()).unwrap_err();
    let told: Vec<(u64, &str)> = findings.iter().map(|f| (f.line, f.what.as_str())).collect();
    assert_eq!(lines(&findings), [2, 3, 4, 4, 6], "{told:#?}");
    assert!(told[0].1.starts_with("column C, mobile: \"1.38001E+10\" is a long number"), "{}", told[0].1);
    assert!(told[0].1.contains("C 列「手机」") && told[0].1.contains("设为「文本」"), "{}", told[0].1);
    assert!(told[1].1.contains("is a formula") && told[2].1.contains("decimals"), "{told:#?}");
    assert!(told[3].1.starts_with("column D, employee_number"), "{}", told[3].1);
    assert!(told[4].1.starts_with("column B, name"), "{}", told[4].1);
}

#[test]
fn a_table_with_tabs_or_in_gbk_is_read_as_well() {
    let (gbk, ..) = encoding_rs::GBK.encode("账号\t姓名\t部门\r\na\t张三\t甲,乙\r\n");
    let (records, format) = super::parse_table(&gbk).unwrap();
    assert_eq!(
        (records[0].cell(Column::Name), records[0].cell(Column::Units)),
        (Some("张三"), Some("甲,乙"))
    );
    assert!(format.to_string().starts_with("read as GB18030 (GBK), separated by tabs"), "{format}");
    assert_eq!(lines(&read(b"userid;name\na;x\n;y\n").unwrap_err()), [3]);
}

#[test]
fn leading_zeros_and_long_numbers_are_exported_as_text_and_read_back() {
    let mut person = Person::new_local(PersonId::new(""), UserId::new("0017"));
    (person.name, person.details.mobile) = ("＝1+1".into(), "013800138000".into());
    person.details.attributes.insert("工号".into(), "000123456789012345678".into());
    let text = written(&person, &chart(vec![]));
    assert!(text.contains("\r\n'0017,'＝1+1,'013800138000,,'000123456789012345678,"), "{text}");
    let before = HashMap::from([("0017".to_owned(), person)]);
    let plan = plan_import(read(text.as_bytes()).unwrap(), chart(vec![]), &before).unwrap();
    assert_eq!((plan.same, plan.persons.len()), (1, 0));
}

proptest! {
    #[test]
    fn what_is_exported_changes_nothing_when_it_is_imported(
        name in "[=+@'＝＠\",;甲a-]{1,6}", position in "[=+@'\",;\\PC]{0,8}", number in "[=0-9０-９.E+]{0,6}",
    ) {
        let chart = chart(vec![unit("l", None, "甲", None)]);
        let mut person = Person::new_local(PersonId::new(""), UserId::new("p"));
        person.name = name;
        person.details.position = position.trim().to_owned();
        if !number.is_empty() {
            person.details.attributes.insert("工号".into(), number);
        }
        person.memberships = vec![Membership { unit: UnitId::new("l"), order: 3, leader: true }];
        person.main_unit = Some(UnitId::new("l"));
        let records = read(written(&person, &chart).as_bytes()).unwrap();
        let before = HashMap::from([("p".to_owned(), person)]);
        let plan = plan_import(records, chart, &before).unwrap();
        prop_assert_eq!((plan.same, plan.persons.len()), (1, 0));
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let mut text = b"userid,name,units\n".to_vec();
        text.extend(bytes);
        if let Ok(records) = read(&text) {
            let _ = plan_import(records, chart(vec![]), &HashMap::new());
        }
    }
}
