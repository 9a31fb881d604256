//! A generated corporation of any size: a deep tree, Chinese names, people in several departments.

use std::collections::{HashMap, HashSet};

use super::people::{SimulatedDepartment, SimulatedMember, SimulatedStatus};
use super::world::World;

/// The deepest tree that WeCom allows, counting the root (81002).
const MAX_DEPTH: u32 = 15;

const DIVISION_NAMES: [&str; 12] = [
    "研发中心",
    "营销中心",
    "供应链中心",
    "财务管理部",
    "人力资源部",
    "行政部",
    "法务部",
    "华东大区",
    "华南大区",
    "华北大区",
    "西南大区",
    "海外事业部",
];
const UNIT_NAMES: [&str; 16] = [
    "产品部",
    "平台部",
    "质量部",
    "测试部",
    "运维部",
    "数据部",
    "销售部",
    "客户成功部",
    "采购部",
    "仓储部",
    "物流部",
    "市场部",
    "门店运营部",
    "培训部",
    "审计部",
    "项目部",
];
const TEAM_NAMES: [&str; 10] =
    ["前端组", "后端组", "算法组", "客服组", "渠道组", "实施组", "内容组", "设计组", "安全组", "综合组"];
const POSITIONS: [&str; 12] = [
    "专员",
    "高级专员",
    "主管",
    "工程师",
    "高级工程师",
    "产品经理",
    "销售代表",
    "客户经理",
    "会计",
    "设计师",
    "分析师",
    "实习生",
];
const FAMILY_NAMES: [(&str, &str); 20] = [
    ("王", "wang"),
    ("李", "li"),
    ("张", "zhang"),
    ("刘", "liu"),
    ("陈", "chen"),
    ("杨", "yang"),
    ("黄", "huang"),
    ("赵", "zhao"),
    ("周", "zhou"),
    ("吴", "wu"),
    ("徐", "xu"),
    ("孙", "sun"),
    ("马", "ma"),
    ("朱", "zhu"),
    ("胡", "hu"),
    ("郭", "guo"),
    ("何", "he"),
    ("林", "lin"),
    ("欧阳", "ouyang"),
    ("诸葛", "zhuge"),
];
const GIVEN_NAMES: [(&str, &str); 24] = [
    ("伟", "wei"),
    ("芳", "fang"),
    ("娜", "na"),
    ("敏", "min"),
    ("静", "jing"),
    ("磊", "lei"),
    ("强", "qiang"),
    ("洋", "yang"),
    ("艳", "yan"),
    ("勇", "yong"),
    ("杰", "jie"),
    ("秀英", "xiuying"),
    ("建国", "jianguo"),
    ("志强", "zhiqiang"),
    ("晓燕", "xiaoyan"),
    ("子涵", "zihan"),
    ("雨桐", "yutong"),
    ("浩然", "haoran"),
    ("思远", "siyuan"),
    ("婷婷", "tingting"),
    ("文博", "wenbo"),
    ("佳怡", "jiayi"),
    ("俊杰", "junjie"),
    ("𬭎", "hong"),
];

/// A random number generator that repeats itself for the same seed (splitmix64).
struct SeededRandom(u64);

impl SeededRandom {
    fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `sides`; 0 if `sides` is 0.
    fn below(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next_number() % sides).unwrap_or(0)
    }

    /// Returns `true` in `times` of a hundred cases.
    fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// A department with its level in the tree; the root has level 1.
#[derive(Clone, Copy)]
struct TreeNode {
    id: i64,
    depth: u32,
}

impl World {
    /// Adds `departments` generated departments below the root and `members` generated members in
    /// them.
    ///
    /// The same numbers and `seed` give the same corporation. Some 20 % are in two or three
    /// departments, most departments have a leader, 2 % are disabled, 5 % are not activated.
    pub fn populate_large(&mut self, members: usize, departments: usize, seed: u64) {
        let mut random = SeededRandom(seed);
        let first_new = self.departments.len();
        grow_tree(self, departments, &mut random);
        let mut homes: Vec<i64> = self.departments.iter().skip(first_new).map(|d| d.id).collect();
        if homes.is_empty() {
            homes = self.departments.iter().map(|d| d.id).collect();
        }
        let mut taken: HashSet<String> = self.members.iter().map(|m| m.userid.to_ascii_lowercase()).collect();
        let mut leaders: HashMap<i64, String> = HashMap::new();
        for n in 0..members {
            let mut m = invent_member(n, &mut random, &mut taken);
            assign_departments(&mut m, n, &homes, &mut leaders, &mut random);
            self.members.push(m);
        }
        for d in self.departments.iter_mut().skip(first_new) {
            d.leaders.extend(leaders.remove(&d.id));
        }
        self.allow_all();
    }
}

fn grow_tree(world: &mut World, count: usize, random: &mut SeededRandom) {
    let mut id = world.departments.iter().map(|d| d.id).max().unwrap_or(0).max(1000);
    let mut names: HashSet<(i64, String)> =
        world.departments.iter().map(|d| (d.parent, d.name.clone())).collect();
    let mut tree: Vec<TreeNode> = Vec::with_capacity(count);
    let root = TreeNode { id: 1, depth: 1 };
    for n in 0..count {
        // First a dozen divisions, then one chain as deep as WeCom allows, then anywhere,
        // preferring shallow levels.
        let above = if n < DIVISION_NAMES.len() {
            root
        } else if n < DIVISION_NAMES.len() + 13 {
            tree.last().copied().filter(|p| p.depth < MAX_DEPTH).unwrap_or(root)
        } else {
            let tries = (0..3).filter_map(|_| random.pick(&tree).copied());
            tries.min_by_key(|p| p.depth).filter(|p| p.depth < MAX_DEPTH).unwrap_or(root)
        };
        id += 1;
        let kind: &[&str] = match above.depth {
            1 => &DIVISION_NAMES,
            2 | 3 => &UNIT_NAMES,
            _ => &TEAM_NAMES,
        };
        let base = if n < DIVISION_NAMES.len() { DIVISION_NAMES.get(n) } else { random.pick(kind) }
            .copied()
            .unwrap_or("部门");
        let mut name = base.to_owned();
        let mut number = 2;
        // Siblings must have different names (60008).
        while !names.insert((above.id, name.clone())) {
            name = format!("{base}{number}");
            number += 1;
        }
        let mut d = SimulatedDepartment::new(id, &name, above.id);
        d.order = u32::try_from(100_000_000_usize.saturating_sub(n * 1000)).unwrap_or(0);
        if random.percent(20) {
            d.name_en = format!("Dept {id}");
        }
        world.departments.push(d);
        tree.push(TreeNode { id, depth: above.depth + 1 });
    }
}

fn invent_member(n: usize, random: &mut SeededRandom, taken: &mut HashSet<String>) -> SimulatedMember {
    let (family, family_read) = random.pick(&FAMILY_NAMES).copied().unwrap_or(("王", "wang"));
    let (given, given_read) = random.pick(&GIVEN_NAMES).copied().unwrap_or(("伟", "wei"));
    // The first bearer of a name has it as userid, the others add a number; some have capital
    // letters.
    let mut userid = format!("{family_read}{given_read}");
    // Userids are unique regardless of case, so the lower-case form is remembered.
    if !taken.insert(userid.clone()) {
        userid = format!("{family_read}{given_read}{n}");
        taken.insert(userid.clone());
    }
    if random.percent(5) {
        userid = userid.chars().take(1).flat_map(char::to_uppercase).chain(userid.chars().skip(1)).collect();
    }
    let mut m = SimulatedMember::new(&userid, &format!("{family}{given}"));
    m.position = random.pick(&POSITIONS).copied().unwrap_or_default().to_owned();
    m.mobile = format!("13{:09}", n % 1_000_000_000);
    m.biz_mail = format!("{}@example.wecom.work", userid.to_ascii_lowercase());
    if random.percent(60) {
        m.email = format!("{}@example.com", userid.to_ascii_lowercase());
    }
    m.gender = if random.percent(50) { "1" } else { "2" }.to_owned();
    if random.percent(30) {
        m.telephone = format!("021-{:08}", n % 100_000_000);
    }
    if random.percent(10) {
        m.alias = format!("{given_read}.{family_read}");
    }
    m.status = match random.below(100) {
        0..2 => SimulatedStatus::Disabled,
        2..7 => SimulatedStatus::NotActivated,
        _ => SimulatedStatus::Active,
    };
    m = m.with_text("工号", &format!("G{:06}", n + 1));
    if random.percent(10) {
        m = m.with_web("主页", &format!("https://wiki.example.com/people/{}", n + 1), "个人主页");
    }
    m
}

/// Assigns departments. The first member of most departments becomes their leader, and the superior
/// of the others.
fn assign_departments(
    m: &mut SimulatedMember,
    n: usize,
    homes: &[i64],
    leaders: &mut HashMap<i64, String>,
    random: &mut SeededRandom,
) {
    // Fill every department once before drawing at random, so that few stay empty.
    let home = if n < homes.len() { homes.get(n) } else { random.pick(homes) }.copied().unwrap_or(1);
    m.departments = vec![home];
    let more = match random.below(100) {
        0..3 => 2,
        3..20 => 1,
        _ => 0,
    };
    for _ in 0..more {
        m.departments.extend(random.pick(homes).copied().filter(|d| !m.departments.contains(d)));
    }
    m.orders = m.departments.iter().map(|_| invent_order(random)).collect();
    if m.departments.len() > 1 && random.percent(20) {
        m.main_department = m.departments.last().copied();
    }
    match leaders.get(&home) {
        Some(leader) => m.direct_leaders.push(leader.clone()),
        None if random.percent(80) => {
            leaders.insert(home, m.userid.clone());
            m.leads.push(home);
            "部门经理".clone_into(&mut m.position);
        }
        None => {}
    }
}

/// Returns mostly 0, because few people sort by hand; now and then the largest value.
fn invent_order(random: &mut SeededRandom) -> u32 {
    match random.below(100) {
        0..70 => 0,
        99 => u32::MAX,
        n => u32::try_from(n).unwrap_or(0) * 1000,
    }
}
