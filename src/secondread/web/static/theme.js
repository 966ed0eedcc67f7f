// Sets the theme before anything is painted; system, dark or light, remembered in this browser.
(() => {
  const order = ["system", "dark", "light"];
  let theme = "system";
  try {
    theme = localStorage.getItem("theme") ?? "system";
  } catch {
    // Storage may be forbidden: the theme then lasts as long as the page.
  }

  function show(name) {
    theme = order.includes(name) ? name : "system";
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = button.dataset[theme] ?? `Theme: ${theme}`;
  }

  show(theme);
  document.addEventListener("DOMContentLoaded", () => {
    show(theme);
    document.getElementById("theme")?.addEventListener("click", () => {
      show(order[(order.indexOf(theme) + 1) % order.length]);
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // As above.
      }
    });
  });
})();
