"use strict";

// A printed page has no folds.
{
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });
}

// What a link leads to unfolds.
{
  const unfold = (hash) => {
    const found = document.getElementById(hash.slice(1));
    if (found instanceof HTMLDetailsElement) found.open = true;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) unfold(link.hash);
  });
  unfold(location.hash);
}
