/* The page Almanac in the browser: its keys, its help, the link, and its charts as images. */
(function () {
  "use strict";
  var press = { s: "almanac-show", l: "almanac-link", c: "almanac-csv", z: "almanac-zip", g: "almanac-png" };
  var go = { a: "almanac-kind", p: "almanac-preset-name" }; /* in a fold, which is opened first */
  var most = 8; /* images in one ZIP */

  function help(open) {
    var dialog = document.getElementById("almanac-help");
    if (!dialog) return;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }

  function writing(target) {
    return target && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  }

  document.addEventListener("keydown", function (event) {
    if (!document.getElementById("almanac-show")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "?") {
      help(true);
    } else if (press[event.key]) {
      var button = document.getElementById(press[event.key]);
      if (button) button.click();
    } else if (go[event.key]) {
      var field = document.getElementById(go[event.key]);
      var fold = field && field.closest("details");
      if (fold) fold.open = true;
      /* When the key is up again: what has the focus before would take the letter for a search. */
      if (field) document.addEventListener("keyup", function () { window.setTimeout(function () { field.focus(); }); }, { once: true });
    } else {
      return;
    }
    event.preventDefault();
  });
  document.addEventListener("click", function (event) {
    var id = event.target && event.target.id;
    if (id === "almanac-help-open") help(true);
    if (id === "almanac-help-close") help(false);
  });

  /* Dash gives the field of a file no name of its own. */
  new MutationObserver(function () {
    document.querySelectorAll("#almanac-upload input:not([aria-label])").forEach(function (input) {
      input.setAttribute("aria-label", "Import a preset from a file");
    });
  }).observe(document.documentElement, { childList: true, subtree: true });

  function graphs() {
    return Array.prototype.slice.call(document.querySelectorAll("#almanac-results .js-plotly-plot"));
  }

  function named(graph) {
    var box = graph.closest("[id^='almanac-figure-']");
    return box ? box.id.replace("almanac-figure-", "") : "chart";
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    almanac: {
      link: function (clicks) {
        if (!clicks) return window.dash_clientside.no_update;
        var address = window.location.href;
        var told = "The link to this scenario is the address of the page: " + address;
        if (!navigator.clipboard) return told;
        return navigator.clipboard.writeText(address).then(
          function () { return "The link to this scenario is in the clipboard."; },
          function () { return told; }
        );
      },
      png: function (clicks) {
        if (!clicks) return window.dash_clientside.no_update;
        var first = graphs()[0];
        if (!first) return "There is no chart to save.";
        return window.Plotly.downloadImage(first, { format: "png", width: 1200, height: 700, filename: "almanac-" + named(first) })
          .then(function () { return "The first chart is saved as PNG."; });
      },
      images: function (clicks) {
        if (!clicks) return window.dash_clientside.no_update;
        return Promise.all(graphs().slice(0, most).map(function (graph) {
          return window.Plotly.toImage(graph, { format: "png", width: 1200, height: 700 }).then(function (url) {
            return [named(graph), url];
          });
        })).then(function (made) { return { clicks: clicks, images: made }; });
      },
    },
  });
})();
