// The pages that move by themselves: the QR page follows its scan, the phone notices new ones and new messages.
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

  var badge = document.querySelector("[data-unread]");
  if (badge) {
    var counted = "";
    var count = function () {
      ask("/phone/unread", function (state) {
        badge.firstElementChild.textContent = state.unread;
        badge.hidden = state.unread === 0;
        // the line below the badge changes with the inbox
        if (counted && counted !== state.version && ["SELECT", "INPUT"].indexOf(document.activeElement.tagName) < 0) { window.location.reload(); }
        counted = state.version;
      }, count);
    };
    count();
  }

  var toEnd = function () { window.scrollTo(0, document.documentElement.scrollHeight); };
  if (document.querySelector("[data-inbox]")) {
    toEnd();
    // pictures make the page longer when they come
    window.addEventListener("load", toEnd);
    var read = function () {
      ask("/phone/unread", function (state) {
        var inbox = document.querySelector("[data-inbox]");
        if (state.version === inbox.getAttribute("data-inbox")) { return null; }
        return fetch("/phone/inbox", { cache: "no-store" })
          .then(function (answer) { return answer.text(); })
          .then(function (page) {
            var there = new DOMParser().parseFromString(page, "text/html").querySelector("[data-inbox]");
            var old = inbox.querySelectorAll("li").length;
            var parts = Array.prototype.slice.call(there.childNodes);
            inbox.setAttribute("data-inbox", there.getAttribute("data-inbox"));
            inbox.textContent = "";
            parts.forEach(function (part) { inbox.appendChild(document.importNode(part, true)); });
            if (inbox.querySelectorAll("li").length !== old) { toEnd(); }
          });
      }, read);
    };
    read();
  }
})();
