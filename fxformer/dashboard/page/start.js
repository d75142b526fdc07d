"use strict";
// After all views are known.

views.start();
