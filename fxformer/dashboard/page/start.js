"use strict";
// After all views are known.

viewsMenu.start();
live.start(); // before the first answers, so that no change between is missed
views.start().then(() => setTimeout(() => chart.ready().catch(() => {}), 300)); // before a chart is wanted
