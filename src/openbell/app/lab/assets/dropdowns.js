/* Dash hands the keyboard to a dropdown by an input that is hidden from screen readers and can be focused, which must
   not be: the button itself is reached instead, in the same place of the order. */
(function () {
  "use strict";
  function mend() {
    document.querySelectorAll(".dash-dropdown-focus-target").forEach(function (input) {
      var button = input.parentElement && input.parentElement.querySelector("button.dash-dropdown");
      if (input.tabIndex !== -1) input.tabIndex = -1;
      if (button && button.tabIndex !== 0) button.tabIndex = 0;
    });
  }
  new MutationObserver(mend).observe(document.documentElement, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["tabindex"],
  });
  mend();
})();
