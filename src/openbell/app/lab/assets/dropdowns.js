/* Where Dash's controls fall short of what a screen reader needs. A dropdown takes the keyboard by an input that is
   hidden from screen readers and can be focused, which must not be: the button itself is reached instead, in the same
   place of the order. */
(function () {
  "use strict";
  function mend() {
    document.querySelectorAll(".dash-dropdown-focus-target").forEach(function (input) {
      var button = input.parentElement && input.parentElement.querySelector("button.dash-dropdown");
      if (input.tabIndex !== -1) input.tabIndex = -1;
      if (button && button.tabIndex !== 0) button.tabIndex = 0;
    });
    /* What a slider is moved by has no name of its own: it takes that of the group around it. */
    document.querySelectorAll(".dash-slider-thumb:not([aria-labelledby]), .dash-range-slider-input:not([aria-labelledby])")
      .forEach(function (part) {
        var group = part.closest("[aria-labelledby]");
        if (group) part.setAttribute("aria-labelledby", group.getAttribute("aria-labelledby"));
      });
  }
  new MutationObserver(mend).observe(document.documentElement, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["tabindex"],
  });
  mend();
})();
