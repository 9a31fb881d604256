  // From href, because old browsers decode location.hash; a backslash as nothing that is sent on may have it.
  function fragment() {
    var at = location.href.indexOf("#");
    var text = at < 0 ? "" : location.href.slice(at).replace(/\\/g, "%5C");
    return text === "#" || text === "#wechat_redirect" ? "" : text;
  }
