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
