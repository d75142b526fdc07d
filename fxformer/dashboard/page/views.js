"use strict";
// Registry and router of the views: #view?name=value, so that a link restores the view.
//
// views.add({id, title, render(root, api)}); render may return {refresh(changed), restore(state), leave()}:
//   refresh(changed): runs have changed on disk; a Set of their keys
//   restore(state): Back or a link changed the address within the view; true if the view has handled it
//   leave(): another view is about to be shown
// views.again() renders the shown view again.
// views.state: the query part of the address; views.keep({name: value}) changes it.

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

  // As `keep`, with a new entry in the browser's history.
  function push(changes) {
    history.pushState({ pushed: true }, "", location.hash || `#${shown.id}`);
    keep(changes);
  }

  // Whether the current history entry was made by `push`.
  function pushed() {
    return Boolean(history.state && history.state.pushed);
  }

  // The address of a view.
  function link(id, state) {
    return `#${id}?${new URLSearchParams(state)}`;
  }

  async function show(event) {
    const first = document.body.dataset.first; // set in a report made for one view
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

  // Marks the paint in the browser's performance timeline.
  function painted(name) {
    requestAnimationFrame(() => setTimeout(() => performance.mark(name)));
  }

  function failure(error) {
    return h("p.error", { role: "alert" }, error.message || String(error));
  }

  async function refresh(changed) {
    if (handle && handle.refresh) await handle.refresh(changed);
  }

  function arrowKeys(event) {
    const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!direction) return;
    const here = all.indexOf(shown);
    const next = all[(here + direction + all.length) % all.length];
    location.hash = next.id;
    document.getElementById(`tab-${next.id}`).focus();
    event.preventDefault();
  }

  function start() {
    const tabs = document.getElementById("tabs");
    fill(tabs, all.map((view) => h("a", {
      href: `#${view.id}`, id: `tab-${view.id}`, role: "tab", "data-view": view.id, "aria-controls": "view",
    }, view.title)));
    tabs.addEventListener("keydown", arrowKeys);
    window.addEventListener("hashchange", show);
    return show();
  }

  return { add, keep, link, start, refresh, failure, painted, push, pushed, again: () => show(), get id() { return shown.id; }, get state() { return address().state; } };
})();
