"use strict";
// Starts the page after all views are registered.

viewsMenu.start();
live.start(); // before the first requests, so that no change is missed
views.start().then(() => setTimeout(() => chart.ready().catch(() => {}), 300)); // preloads plotly
