"use strict";
// The views of the page and the way between them: #view?name=value, so that a link shows the same.
//
// views.add({id, title, render(root, api)}); render may return {refresh(changed), restore(state), leave()}:
//   refresh is called when runs have changed on disk, with a Set of their keys
//   restore is called when Back or a link changes the address within the view: true if it has shown that
//   leave is called before another view takes the place
// views.again() draws the shown view anew.
// views.state is the shown view's own part of the address; views.keep({name: value}) changes it.

const views = (() => {
  const all = [];
  let shown = null, handle = null;

  function add(view) {
    all.push(view);
  }

  function address() {
    const [id, query] = location.hash.slice(1).split("?");
    return { id, state: Object.fromEntries(new URLSearchParams(query || "")) };
  }

  function keep(changes) {
    const state = { ...address().state, ...changes };
    for (const [name, value] of Object.entries(state)) if (value === null || value === "") delete state[name];
    const query = new URLSearchParams(state).toString();
    history.replaceState(history.state, "", `#${shown.id}${query ? "?" + query : ""}`);
  }

  // As `keep`, but as a step of the browser's history, which Back undoes.
  function push(changes) {
    history.pushState({ pushed: true }, "", location.hash || `#${shown.id}`);
    keep(changes);
  }

  // Whether the shown address was made by `push`, so that Back stays in the view.
  function pushed() {
    return Boolean(history.state && history.state.pushed);
  }

  // The address of a view, for links from one to another.
  function link(id, state) {
    return `#${id}?${new URLSearchParams(state)}`;
  }

  async function show(event) {
    const first = document.body.dataset.first; // of a file that was made for one view
    const view = all.find((one) => one.id === (address().id || first)) || all[0];
    const root = document.getElementById("view");
    if (event && view === shown && handle && handle.restore && handle.restore(address().state)) return;
    if (handle && handle.leave) handle.leave();
    shown = view;
    handle = null;
    document.title = `${view.title} · fxformer`;
    for (const tab of document.querySelectorAll("#tabs a")) {
      const here = tab.dataset.view === view.id;
      tab.setAttribute("aria-selected", here);
      tab.tabIndex = here ? 0 : -1;
    }
    root.setAttribute("aria-labelledby", `tab-${view.id}`);
    const own = h("div.view", { id: `view-${view.id}` });
    fill(root, own);
    chart.sweep();
    try {
      const given = await view.render(own, api);
      if (shown === view) handle = given || null;
    } catch (error) {
      if (shown === view) fill(own, failure(error));
    }
    own.dataset.ready = "yes";
    painted(`view ${view.id}`);
  }

  // Notes in the browser's own timeline that something can be seen.
  function painted(name) {
    requestAnimationFrame(() => setTimeout(() => performance.mark(name)));
  }

  function failure(error) {
    return h("p.error", { role: "alert" }, error.message || String(error));
  }

  async function refresh(changed) {
    if (handle && handle.refresh) await handle.refresh(changed);
  }

  function walk(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    const here = all.indexOf(shown);
    const next = all[(here + way + all.length) % all.length];
    location.hash = next.id;
    document.getElementById(`tab-${next.id}`).focus();
    event.preventDefault();
  }

  function start() {
    const tabs = document.getElementById("tabs");
    fill(tabs, all.map((view) => h("a", {
      href: `#${view.id}`, id: `tab-${view.id}`, role: "tab", "data-view": view.id, "aria-controls": "view",
    }, view.title)));
    tabs.addEventListener("keydown", walk);
    window.addEventListener("hashchange", show);
    return show();
  }

  return { add, keep, link, start, refresh, failure, painted, push, pushed, again: () => show(), get id() { return shown.id; }, get state() { return address().state; } };
})();
