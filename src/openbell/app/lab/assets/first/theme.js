/* Before anything is painted: the theme that was chosen. And the one place where figures get their colours. */
(function () {
  "use strict";
  var KEY = "openbell-theme";
  var root = document.documentElement;
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var templates = JSON.parse(document.getElementById("lab-templates").textContent);

  function kept() {
    try {
      var value = window.localStorage.getItem(KEY);
      return value === "light" || value === "dark" ? value : "system";
    } catch (refused) {
      return "system"; // a browser that keeps nothing
    }
  }

  function inForce() {
    var chosen = kept();
    return chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
  }

  function mark() {
    var chosen = kept();
    document.querySelectorAll("[data-theme-choice]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen));
    });
  }

  function apply() {
    var theme = inForce();
    root.dataset.theme = theme;
    root.dataset.agThemeMode = theme;
    mark();
  }

  function ours(layout) {
    var template = layout && layout.template;
    return !template || !template.layout || (template.layout.meta && template.layout.meta.openbell);
  }

  function coloured(layout) {
    return ours(layout) ? Object.assign({}, layout, { template: templates[inForce()] }) : layout;
  }

  /* A scale of ours is turned to the theme; whether it is one, its ends tell. */
  function scaled(trace) {
    var scale = trace && trace.colorscale;
    if (!Array.isArray(scale) || !scale.length) return trace;
    var same = function (other) {
      return other[0][1] === scale[0][1] && other[other.length - 1][1] === scale[scale.length - 1][1];
    };
    var pair = templates.scales.find(function (each) { return same(each[0]) || same(each[1]); });
    return pair ? Object.assign({}, trace, { colorscale: pair[inForce() === "dark" ? 1 : 0] }) : trace;
  }

  function wrapped(plotly) {
    ["newPlot", "react"].forEach(function (name) {
      var draw = plotly[name];
      if (!draw || draw.openbell) return;
      plotly[name] = function (element, data, layout, config) {
        if (data && !Array.isArray(data)) {
          return draw.call(plotly, element, Object.assign({}, data, { data: (data.data || []).map(scaled), layout: coloured(data.layout) }));
        }
        return draw.call(plotly, element, (data || []).map(scaled), coloured(layout), config);
      };
      plotly[name].openbell = true;
    });
    return plotly;
  }

  var library;
  Object.defineProperty(window, "Plotly", {
    configurable: true,
    get: function () { return library; },
    set: function (value) { library = value && value.react ? wrapped(value) : value; },
  });

  function redraw() {
    if (!library) return;
    document.querySelectorAll(".js-plotly-plot").forEach(function (element) {
      if (element.data) library.react(element, element.data, element.layout, element._context);
    });
  }

  window.openbellTheme = {
    choose: function (chosen) {
      try {
        if (chosen === "system") window.localStorage.removeItem(KEY);
        else window.localStorage.setItem(KEY, chosen);
      } catch (refused) { /* it holds until the page is left */ }
      apply();
      redraw();
    },
    mark: mark,
  };
  dark.addEventListener("change", function () { apply(); redraw(); });
  window.addEventListener("storage", function (event) { if (event.key === KEY) { apply(); redraw(); } });
  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-theme-choice]");
    if (button) window.openbellTheme.choose(button.dataset.themeChoice);
  });
  new MutationObserver(function () {
    var button = document.querySelector('[data-theme-choice="' + kept() + '"]');
    if (button && button.getAttribute("aria-pressed") !== "true") mark();
  }).observe(root, { childList: true, subtree: true });
  apply();
})();
