// Before the first paint: the theme that the user chose, else the system's.
(function () {
    var chosen = null;
    try {
        chosen = localStorage.getItem("sluice.theme");
    } catch (e) {
        /* storage is switched off: follow the system */
    }
    var dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
