//! Paths that programs understand in more than one way, sent through a real nginx. What real
//! applications in Node and PHP take for the closed folder never passes, and the paths of real
//! products do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use gongpai::testing::cli::snippet::{NginxArgs, render_nginx};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::snippets::{config_of, tls_ends_before};
use crate::support::app::{PUBLIC_URL, TestApp, run_all_at_once};
use crate::support::echo::{EchoServer, Head, RawResponse};
use crate::support::eventually;
use crate::support::nginx::Nginx;
use crate::support::port::Port;
use crate::support::process::{Process, Program};

/// How many paths are tried.
const RANDOM_PATH_COUNT: usize = 1000;

/// How many connections ask at the same time.
const CONNECTION_COUNT: usize = 8;

/// With this, one cookie is good on both applications' hosts.
const SHARED_COOKIE_CONFIG: &str = "[session]\ncookie_domain = \".example.com\"\n";

/// Returns rules for both hosts: a closed folder, an open one, and the rest for everybody who is
/// signed in.
fn rules() -> String {
    let mut toml = SHARED_COOKIE_CONFIG.to_owned();
    for host in ["oa.example.com", "app.example.com"] {
        for (path, allow) in [("/admin/**", "user:lisi"), ("/public/**", "anyone"), ("", "members")] {
            toml += &format!("[[rules]]\nhost = \"{host}\"\npath = \"{path}\"\nallow = [\"{allow}\"]\n");
        }
    }
    toml
}

/// Starts nginx with the printed snippet for each host, in front of its application.
async fn start_nginx(t: &TestApp, applications: &[(&str, String)], port: &Port) -> Nginx {
    let config = config_of(t);
    let snippet = |(host, upstream): &(&str, String)| {
        let args = NginxArgs {
            host: (*host).to_owned(),
            upstream: Some(upstream.clone()),
            listen: port.address().to_string(),
            api: false,
            access_log: "gongpai.log".to_owned(),
        };
        tls_ends_before(&render_nginx(&config, &args).expect("a snippet"))
    };
    Nginx::start(&applications.iter().map(snippet).collect::<String>()).await
}

/// Returns the Cookie header of a person who is signed in on every host.
async fn cookie_of(t: &TestApp, userid: &str) -> String {
    let browser = t.signed_in(userid).await;
    let cookies = browser.cookies.header(&PUBLIC_URL.parse().expect("a URL")).expect("a session");
    cookies.split("; ").find(|cookie| cookie.contains("gongpai=")).expect("a session").to_owned()
}

/// Sends requests one after another, on one connection as long as the server keeps it.
struct KeptConnection {
    address: SocketAddr,
    host: &'static str,
    cookie: String,
    stream: Option<TcpStream>,
}

impl KeptConnection {
    fn to(address: SocketAddr, host: &'static str, cookie: &str) -> Self {
        Self { address, host, cookie: cookie.to_owned(), stream: None }
    }

    async fn get(&mut self, target: &[u8]) -> RawResponse {
        let raw = self.try_get(target).await;
        raw.unwrap_or_else(|| panic!("no answer to {:?}", String::from_utf8_lossy(target)))
    }

    /// Sends a request; `None` if the server closes the connection instead of answering.
    async fn try_get(&mut self, target: &[u8]) -> Option<RawResponse> {
        let headers = format!(" HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", self.host, self.cookie);
        let request = [b"GET ", target, headers.as_bytes()].concat();
        for _ in 0..2 {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => TcpStream::connect(self.address).await.expect("a connection"),
            };
            stream.write_all(&request).await.ok();
            // A kept connection may have been closed in the meantime; then the request is sent
            // again on a new one.
            let Some(raw) = read_answer(&mut stream).await else { continue };
            let stays = raw.head.one("connection").is_none_or(|c| !c.eq_ignore_ascii_case("close"));
            self.stream = (stays && raw.head.one("content-length").is_some()).then_some(stream);
            return Some(raw);
        }
        None
    }
}

/// Reads one answer; a body without a length ends with the connection.
async fn read_answer(stream: &mut TcpStream) -> Option<RawResponse> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = Head(bytes[..end].iter().map(|b| char::from(*b)).collect());
    let mut body = bytes[end + 4..].to_vec();
    match head.one("content-length") {
        Some(length) => {
            let length: usize = length.parse().expect("a length");
            while body.len() < length && stream.read_buf(&mut body).await.ok()? > 0 {}
        }
        // Chunks, because the application closed without a length (Node's own 400). Nothing of that
        // body is read.
        None if !head.values_like("transfer-encoding").is_empty() => {
            while !body.ends_with(b"0\r\n\r\n") && stream.read_buf(&mut body).await.ok()? > 0 {}
        }
        None => drop(stream.read_to_end(&mut body).await.ok()?),
    }
    let status = head.line().split(' ').nth(1)?.parse().ok()?;
    Some(RawResponse { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Starts a program and waits until its port accepts a connection.
async fn start_program(program: Program, port: &Port) -> Process {
    let mut process = program.start();
    eventually("the application listens", async || {
        assert!(process.ended().is_none(), "the application ended");
        TcpStream::connect(port.address()).await.ok()
    })
    .await;
    process
}

/// Returns odd paths, each once and every time the same. Their pieces are names, slashes and dots
/// to some program.
fn odd_paths() -> Vec<Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"/",
        b"/",
        b"/",
        b"//",
        b"admin",
        b"admin",
        b"admin",
        b"ADMIN",
        b"%61dmin",
        b"%2561dmin",
        b"public",
        b"public",
        b"x",
        b"..",
        b"..",
        b".",
        b"%2e%2e",
        b"%2E.",
        b"%252e%252e",
        b"..;",
        b"..;a=b",
        b"%2f",
        b"%2F",
        b"%252f",
        b"%5c",
        b"\\",
        b";v=1",
        b"%3bx",
        b"%3f",
        b"%3f/x",
        b"%23",
        b"%20",
        b"..%20",
        b"%253f",
        b"\xef\xbc\x8e\xef\xbc\x8e",
        b"%E2%80%A5",
        b"\xd6\xd0",
        b"%c0%ae%c0%ae",
        b"%09",
        b"%C2%A0",
        b"\xef\xbd\x81dmin",
        b"(S(a))",
        b"?q=/admin",
        b"http:",
        b"@h",
        b":80",
        b"%25",
        b"%",
        b"%u002e",
    ];
    let piece = prop::sample::select(pieces);
    let join = |pieces: Vec<&[u8]>| [b"/".as_slice(), &pieces.concat()].concat();
    let strategy = prop_oneof![
        prop::collection::vec(piece.clone(), 1..8).prop_map(join),
        // Most oddities would change nothing, so half of the paths end with the folder.
        prop::collection::vec(piece, 1..6)
            .prop_map(move |pieces| [&join(pieces), b"/admin/x".as_slice()].concat()),
    ];
    let mut runner = TestRunner::deterministic();
    let mut paths = vec![
        b"//x/admin/x".to_vec(),
        b"//public/admin/x".to_vec(),
        b"/admin%3f/x".to_vec(),
        b"/ADMIN/x".to_vec(),
        b"/public/..%2fadmin".to_vec(),
        b"/%20admin/x".to_vec(),
        b"/admin%C2%A0/x".to_vec(),
        b"/ad%09min/x".to_vec(),
        b"/public/.%09./admin/x".to_vec(),
        b"/%EF%BD%81dmin/x".to_vec(),
        b"/./admin/%2e%2e".to_vec(),
        b"/a%2Fb/%252e%252e/admin/x".to_vec(),
        b"/public/x%2F..%2F..%2Fadmin/..%252F..%252Fpublic/y".to_vec(),
    ];
    // Into the folder as one program reads it, and out again for a program that decodes once more.
    let into: [&[u8]; 4] = [b"x%2F..%2F", b"x/..;/", b"x\\..\\", b"x/%2e%2e/"];
    let out: [&[u8]; 4] = [b"..%252F..%252F", b"..%3b/..%3b/", b"..%5c..%5c", b"%252e%252e/%252e%252e/"];
    for climb in into {
        for hide in out {
            for open in [b"/".as_slice(), b"/public/../"] {
                paths.push([open, climb, b"admin/x/", hide, b"y"].concat());
            }
        }
    }
    while paths.len() < RANDOM_PATH_COUNT {
        let path = strategy.new_tree(&mut runner).expect("a path").current();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// Returns how the application understood a path if it is one of the closed folder.
fn closed_reading(answer: &RawResponse) -> Option<(String, String)> {
    let understood: BTreeMap<String, String> = serde_json::from_str(&answer.body).expect("understandings");
    understood.into_iter().find(|(_, path)| path == "/admin" || path.starts_with("/admin/"))
}

/// Sends each path through nginx. Returns how many passed, and how many were denied that the
/// application, asked directly, takes for the closed folder.
async fn try_all(
    paths: Vec<Vec<u8>>,
    mut line: KeptConnection,
    mut direct: KeptConnection,
) -> (usize, usize) {
    let (mut passed, mut kept_out) = (0, 0);
    for path in &paths {
        let (shown, host) = (String::from_utf8_lossy(path), line.host);
        let answer = line.get(path).await;
        if answer.head.one("x-from").is_some() {
            passed += 1;
            let found = if answer.status == 200 { closed_reading(&answer) } else { None };
            assert!(found.is_none(), "{shown} passed, and {host} understands {found:?}");
        } else {
            // 502: the application does not accept such a request line and closes the connection.
            assert!(matches!(answer.status, 302 | 400 | 403 | 502), "{shown}: {}", answer.status);
            let asked = direct.try_get(path).await;
            kept_out +=
                usize::from(asked.is_some_and(|raw| raw.status == 200 && closed_reading(&raw).is_some()));
        }
    }
    (passed, kept_out)
}

#[tokio::test]
async fn cases_9_42_43_44_whatever_node_or_php_takes_for_the_closed_folder_never_passes() {
    let t = TestApp::with(&rules()).await;
    let cookie = cookie_of(&t, "zhangsan").await;
    let (nginx_port, node_port, php_port) = (Port::reserve(), Port::reserve(), Port::reserve());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/readings");
    let node = Program::at("node").arg(data.join("application.js")).arg(node_port.number().to_string());
    let php =
        Program::at("php").arg("-S").arg(php_port.address().to_string()).arg(data.join("application.php"));
    let (_node, _php) = (start_program(node, &node_port).await, start_program(php, &php_port).await);
    let url = |port: &Port| format!("http://{}", port.address());
    let applications = [("oa.example.com", url(&node_port)), ("app.example.com", url(&php_port))];
    let nginx = start_nginx(&t, &applications, &nginx_port).await;
    let paths = odd_paths();
    for (host, application) in [("oa.example.com", &node_port), ("app.example.com", &php_port)] {
        let (through, application) = (nginx_port.address(), application.address());
        let parts = paths.chunks(paths.len().div_ceil(CONNECTION_COUNT)).map(|part| {
            let (part, line) = (part.to_vec(), KeptConnection::to(through, host, &cookie));
            try_all(part, line, KeptConnection::to(application, host, ""))
        });
        let counts = run_all_at_once(parts).await;
        let (passed, kept_out) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!(passed >= 200, "{host}: only {passed} of {} passed", paths.len());
        assert!(kept_out >= 100, "{host}: only {kept_out} of {} would have led into the folder", paths.len());
    }
    drop(nginx);
}

/// Paths that products really send, byte for byte.
const PRODUCT_PATHS: &[(&str, &[u8])] = &[
    ("GitLab API", b"/api/v4/projects/group%2Fproject"),
    ("GitLab API, subgroup", b"/api/v4/projects/group%2Fsub%2Fproject/merge_requests?state=opened"),
    ("GitLab file API", b"/api/v4/projects/1/repository/files/src%2Fmain%2Ers?ref=main"),
    ("GitLab branch API", b"/api/v4/projects/1/repository/branches/feature%2Flogin"),
    ("GitLab page", b"/group/project/-/merge_requests/7/diffs.json?diff_head=true"),
    ("GitLab package", b"/api/v4/projects/1/packages/npm/@scope%2fname"),
    ("Gitea", b"/api/v1/repos/team/app/contents/docs%2Fread%20me.md"),
    ("GitHub Enterprise", b"/org/repo/compare/main...feature/x"),
    ("npm", b"/@scope%2fname"),
    ("npm", b"/@scope/name/-/name-1.0.0.tgz"),
    ("Verdaccio", b"/-/verdaccio/data/sidebar/@babel/core"),
    ("Nexus", b"/repository/npm-group/@types%2fnode"),
    ("Maven", b"/repository/maven-public/org/apache/commons/maven-metadata.xml"),
    ("Docker registry", b"/v2/library/nginx/manifests/sha256:0f5b"),
    ("Harbor", b"/api/v2.0/projects/library/repositories/team%252Fapp/artifacts"),
    ("Artifactory", b"/artifactory/libs-release/com/acme/;build.number=7/app.jar"),
    ("PyPI", b"/simple/zope.interface/"),
    ("Go proxy", b"/github.com/!burnt!sushi/toml/@v/v1.0.0.info"),
    ("RabbitMQ", b"/api/queues/%2F/q"),
    ("RabbitMQ", b"/api/exchanges/%2F/amq.topic/bindings/source"),
    ("RabbitMQ", b"/api/users/guest/permissions"),
    ("Kafka UI", b"/api/clusters/local/topics/orders.v1/messages?seekType=BEGINNING"),
    ("O2OA", b"/x_desktop/appMobile.html?app=process.TaskCenter"),
    ("O2OA", b"/x_processplatform_assemble_surface/jaxrs/work/b9ba1a4d-0a1c/assignment/manage"),
    ("O2OA", b"/x_organization_assemble_control/jaxrs/person/list/(0)/next/20"),
    ("O2OA", b"/x_file_assemble_control/servlet/file/download/8c2f%20copy.docx/stream"),
    ("O2OA portal", b"/x_desktop/portal.html?id=%E9%97%A8%E6%88%B7"),
    ("泛微 e-cology", b"/weaver/weaver.file.FileDownload?fileid=A1B2%2B%3D&download=1"),
    ("泛微 e-cology", b"/spa/workflow/static4form/index.html?_rdm=1700000000"),
    ("泛微 e-cology", b"/wui/index.html"),
    ("泛微 e-cology", b"/api/hrm/login/getLoginForm;jsessionid=aaaNl0x"),
    ("泛微 e-cology", b"/docs/docs/DocDsp.jsp?fromFlowDoc=1&id=9"),
    ("致远 Seeyon", b"/seeyon/main.do?method=main"),
    ("致远 Seeyon", b"/seeyon/collaboration/collaboration.do;jsessionid=0A1B?method=summary&title=\xd6\xd0"),
    ("用友 NC", b"/portal/app/mockapp/login.jsp?lrid=1"),
    ("用友 NC", b"/servlet/~ic/bsh.servlet.BshServlet"),
    ("金蝶 EAS", b"/eassso/login?service=http://oa.example.com/easportal/"),
    ("蓝凌 EKP", b"/sys/portal/page.jsp?j_start=%2Fkm%2Freview%2F&j_target=_iframe"),
    ("FineReport 帆软", b"/webroot/decision/view/report?viewlet=%252F%E6%8A%A5%E8%A1%A8.cpt&op=write"),
    ("FineReport 帆软", b"/WebReport/ReportServer?reportlet=\xb1\xa8\xb1\xed.cpt"),
    ("an old upload in GBK", b"/upload/%D6%D0.pdf"),
    ("an old upload in GBK, raw", b"/upload/\xd6\xd0\xce\xc4.pdf"),
    ("an old search in GBK, raw", b"/search?q=\xd6\xd0"),
    ("an old link in GBK with a backslash byte", b"/upload/%D5%5C.doc"),
    ("JupyterHub", b"/user/zhang%40example.com/api/contents/My%20Notebook.ipynb?content=1"),
    ("JupyterHub", b"/user/li/lab/tree/%E6%95%B0%E6%8D%AE%2F2024.csv"),
    ("JupyterHub", b"/hub/spawn-pending/li"),
    ("Grafana", b"/d/000000012/grafana-play?orgId=1&var-host=a%2Fb"),
    ("Grafana", b"/api/datasources/proxy/uid/P1/api/v1/query_range?query=rate(x%5B5m%5D)"),
    ("Grafana", b"/api/folders/General%2FTeam"),
    ("Kibana", b"/app/kibana?_g=(refreshInterval:(pause:!t,value:0))"),
    ("Elasticsearch", b"/%3Clogstash-%7Bnow%2Fd%7D%3E/_search"),
    ("Prometheus", b"/api/v1/label/__name__/values?match[]=up"),
    ("Jenkins", b"/job/team/job/feature%252Flogin/lastBuild/console"),
    ("Jenkins", b"/$stapler/bound/c1d2/render"),
    ("Jenkins resources", b"/static/0f5b/scripts/hudson-behavior.js"),
    ("SonarQube", b"/api/measures/component?component=com.acme:app"),
    ("Confluence", b"/display/~zhangsan/C%2B%2B+%26+C%23"),
    ("Confluence", b"/download/attachments/1/%E6%96%B9%E6%A1%88%EF%BC%88v2%EF%BC%89.docx?version=1"),
    ("Jira", b"/rest/api/2/issue/OA-1/comment/10000"),
    ("MediaWiki", b"/wiki/Talk:A/B_(C)?"),
    ("MediaWiki", b"/wiki/What%3F"),
    ("Nextcloud", b"/remote.php/dav/files/zhang/%E6%96%87%E6%A1%A3/a%20b%20%231.txt"),
    ("Nextcloud", b"/index.php/apps/files/?dir=/"),
    ("MinIO", b"/bucket/a//b/../c%20d;e=f.txt"),
    ("S3 key with a leading slash", b"/bucket//logs/2024"),
    ("WebDAV", b"/dav/%E8%B4%A2%E5%8A%A1/100%25.xlsx"),
    ("SharePoint", b"/sites/hr/_layouts/15/start.aspx"),
    ("Exchange", b"/owa/auth/15.1/themes/resources/favicon.ico"),
    ("ASP.NET Web Forms", b"/(S(lit3py55t21z5v55vlm25s55))/Default.aspx"),
    ("Angular matrix parameters", b"/heroes;id=15;foo=bar/list"),
    ("Superset", b"/superset/explore/?form_data=%7B%22a%22%3A%22b%2Fc%22%7D"),
    ("Airflow", b"/dags/etl%20daily/grid?dag_run_id=manual__2024-01-01T00%3A00%3A00%2B00%3A00"),
    ("Nacos", b"/nacos/v1/cs/configs?dataId=a.yaml&group=DEFAULT_GROUP"),
    ("Kubernetes Dashboard", b"/api/v1/namespaces/kube-system/services/https:kubernetes-dashboard:/proxy/"),
    ("an image proxy", b"/thumb/300x200/https%3A%2F%2Fimg.example.com%2Fa.png"),
    ("an image proxy, unencoded", b"/thumb/300x200/https://img.example.com/a.png"),
    ("ACME", b"/.well-known/acme-challenge/x_Y-z"),
    (
        "a file with Chinese full-width characters",
        b"/files/\xe6\x8a\xa5\xe8\xa1\xa8\xef\xbc\x88\xe7\xbb\x88\xef\xbc\x89.xlsx",
    ),
];

#[tokio::test]
async fn every_path_of_a_real_product_passes_on_a_host_without_rules_as_it_was_sent() {
    assert!(PRODUCT_PATHS.len() >= 60);
    let t = TestApp::with(SHARED_COOKIE_CONFIG).await;
    let cookie = cookie_of(&t, "zhangsan").await;
    let (echo, port) = (EchoServer::start().await, Port::reserve());
    let nginx = start_nginx(&t, &[("app.example.com", echo.url())], &port).await;
    let mut line = KeptConnection::to(port.address(), "app.example.com", &cookie);
    for (product, target) in PRODUCT_PATHS {
        let shown = String::from_utf8_lossy(target);
        let answer = line.get(target).await;
        assert_eq!(answer.status, 200, "{product}: {shown}");
        let sent: String = target.iter().map(|b| char::from(*b)).collect();
        assert_eq!(echo.last().line(), format!("GET {sent} HTTP/1.1"), "{product}: {shown}");
        assert_eq!(echo.last().one("remote-user"), Some("zhangsan"));
        // A visitor who is not signed in is sent to the sign-in.
        let nobody = KeptConnection::to(port.address(), "app.example.com", "").get(target).await;
        assert_eq!(nobody.status, 401, "{product}: {shown}");
    }
    drop(nginx);
}
