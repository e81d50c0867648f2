/* What the frame of the lab does in the browser: title and focus of a new page, the address of a state, the alert. */
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  lab: {
    shown: function (page) {
      if (!page) return window.dash_clientside.no_update;
      document.title = page.title + " · Openbell";
      document.querySelectorAll("#lab-navigation a").forEach(function (link) {
        var here = link.id === "lab-link-" + page.name;
        if (here) {
          link.setAttribute("aria-current", "page");
          var list = link.closest("nav");
          if (list && list.scrollWidth > list.clientWidth) {
            list.scrollLeft = link.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
          }
        } else {
          link.removeAttribute("aria-current");
        }
      });
      if (window.openbellWasHere) {
        window.scrollTo(0, 0);
        var main = document.getElementById("lab-main");
        if (main) main.focus({ preventScroll: true });
      }
      window.openbellWasHere = true;
      return window.dash_clientside.no_update;
    },
    query: function (state, pathname) {
      if (!state) return window.dash_clientside.no_update;
      var told = new URLSearchParams();
      Object.keys(state).forEach(function (name) {
        if (state[name] !== null && state[name] !== undefined && state[name] !== "") told.append(name, state[name]);
      });
      var text = told.toString();
      var address = pathname + (text ? "?" + text : "");
      if (address !== window.location.pathname + window.location.search) {
        window.history.replaceState(window.history.state, "", address);
      }
      return window.dash_clientside.no_update;
    },
    dismiss: function () { return ""; },
  },
});
/* A file that is too large is refused before it is read, in words: Dash would drop it without any. */
(function () {
  "use strict";
  function check(event, files) {
    var box = event.target.closest && event.target.closest("[data-most-bytes]");
    if (!box || !files) return;
    var most = Number(box.dataset.mostBytes);
    var large = Array.prototype.find.call(files, function (file) { return file.size > most; });
    if (!large) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "change") event.target.value = ""; /* the same file may be chosen again */
    window.dash_clientside.set_props("lab-alert", {
      children: "The file “" + large.name.slice(0, 60) + "” has " + large.size.toLocaleString("en") +
        " bytes; at most " + most.toLocaleString("en") + " are taken. Choose a smaller one.",
    });
  }
  document.addEventListener("change", function (event) { check(event, event.target.files); }, true);
  document.addEventListener("drop", function (event) { check(event, event.dataTransfer && event.dataTransfer.files); }, true);
})();
