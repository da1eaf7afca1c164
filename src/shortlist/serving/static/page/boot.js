// Says so when a script of the page did not arrive; without it the page would be loading for ever.

addEventListener("error", (event) => {
  if (!(event.target instanceof HTMLScriptElement)) return;
  document.getElementById("view").textContent = "The page did not arrive whole: the server is busy, or has stopped. Load it again in a moment.";
}, true);
