//! A real nginx with the printed configuration and one file behind it, twice: below `/static/`,
//! where requests are checked, and below `/open/`, where they are not.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Result, ensure};
use gongpai::testing::cli::snippet::{NginxArgs, render_nginx};

use crate::gateway::{APP_HOST, load_configuration};

/// Debian's path; `PATH` often lacks the folder.
pub(crate) const NGINX_EXECUTABLE: &str = "/usr/sbin/nginx";

/// The file, with and without a check.
pub(crate) const CHECKED_PATH: &str = "/static/page.html";
pub(crate) const OPEN_PATH: &str = "/open/page.html";

/// Returns a port on which nothing listens.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Writes nginx's files below `prefix`. nginx listens on `port` and asks the gateway on `gateway`.
pub(crate) fn prepare_prefix(prefix: &Path, data: &Path, port: u16, gateway: u16) -> Result<()> {
    for kind in ["static", "open"] {
        fs::create_dir_all(prefix.join(kind))?;
        fs::write(prefix.join(kind).join("page.html"), "x".repeat(1024))?;
    }
    let args = NginxArgs {
        host: APP_HOST.to_owned(),
        upstream: Some("http://127.0.0.1:9".to_owned()),
        listen: format!("127.0.0.1:{port}"),
        api: false,
        access_log: "access.log".to_owned(),
    };
    let snippet = render_nginx(&load_configuration(data, &format!("127.0.0.1:{gateway}"))?, &args)?;
    // As the snippet's comment says for an nginx that does not terminate TLS: without ` ssl` and
    // the lines below.
    let plain: String = snippet
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .map(|line| format!("{}\n", line.replace(&format!("{port} ssl;"), &format!("{port};"))))
        .collect();
    let files = format!(
        "    location /static/ {{ root {root}; }}\n    location /open/ {{ auth_request off; root {root}; }}\n\n    \
         location / {{",
        root = prefix.display()
    );
    ensure!(plain.contains("    location / {"), "the snippet has no place for a location");
    let plain = plain.replacen("    location / {", &files, 1);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .concat();
    fs::write(
        prefix.join("nginx.conf"),
        format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{ worker_connections 1024; }}\nhttp {{\n    \
             access_log off;\n    keepalive_requests 1000000;\n    sendfile on;\n{temporary}\n{plain}\n}}\n"
        ),
    )?;
    Ok(())
}
