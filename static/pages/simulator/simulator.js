// The two pages that move by themselves: the QR page follows its scan, the phone notices new ones.
(function () {
  "use strict";

  function ask(url, then, again) {
    fetch(url, { cache: "no-store" })
      .then(function (answer) { return answer.json(); })
      .then(then)
      .catch(function () { /* the simulator was restarted: keep asking */ })
      .then(function () { setTimeout(again, 800); });
  }

  var panel = document.querySelector("[data-scan]");
  if (panel) {
    var left = false;
    var leave = function (url) {
      left = true;
      if (window.top === window.self || panel.hasAttribute("data-own-frame")) {
        window.location.replace(url);
        return;
      }
      try {
        window.top.location.href = url;
      } catch (refused) {
        // Chromium lets a frame that nobody has clicked in steer the top window only within the top window's
        // own site. Elsewhere the frame goes itself, and the page it comes to decides.
        window.location.replace(url);
      }
    };
    var follow = function () {
      if (left) { return; }
      ask("/wwlogin/sso/status?scan=" + encodeURIComponent(panel.getAttribute("data-scan")), function (scan) {
        panel.querySelectorAll("[data-when]").forEach(function (part) {
          part.hidden = part.getAttribute("data-when").split(" ").indexOf(scan.status) < 0;
        });
        if (scan.redirect) { leave(scan.redirect); }
      }, follow);
    };
    follow();
  }

  var phone = document.querySelector("[data-phone]");
  if (phone) {
    var shown = phone.getAttribute("data-phone").trim();
    var look = function () {
      ask("/phone/scans", function (scans) {
        var now = scans.map(function (scan) { return scan.id; }).join(" ");
        // somebody who is choosing a member is not interrupted
        if (now !== shown && ["SELECT", "INPUT"].indexOf(document.activeElement.tagName) < 0) { window.location.reload(); }
      }, look);
    };
    look();
  }
})();
