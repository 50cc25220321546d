/* A lesson of SCORM 1.2: it finds its API in the windows above and keeps everything there. */
(function () {
  "use strict";

  function findApi(win) {
    for (var above = 0; above < 7; above += 1) {
      if (win.API) { return win.API; }
      if (win.parent === win) { break; }
      win = win.parent;
    }
    return window.opener ? window.opener.API : null;
  }

  /* The page around may need a moment longer than the lesson: it is asked again, as many lessons do. */
  function start(tries) {
    var api = findApi(window);
    if (!api && tries > 0) { window.setTimeout(start, 50, tries - 1); return; }
    var status = document.getElementById("status");
    var page = document.getElementById("page");
    var note = document.getElementById("note");

    function keep(name, value) {
      if (String(api.LMSSetValue(name, String(value))) !== "true") {
        status.textContent = "Error " + api.LMSGetLastError();
      }
    }

    if (!api) { status.textContent = "No SCORM API"; return; }
    if (String(api.LMSInitialize("")) !== "true") { status.textContent = "Not initialised"; return; }
    document.getElementById("learner").textContent = "Learner: " + api.LMSGetValue("cmi.core.student_name");
    page.value = api.LMSGetValue("cmi.core.lesson_location") || "1";
    note.value = api.LMSGetValue("cmi.suspend_data");
    status.textContent = page.value === "1" ? "Started" : "Resumed";

    document.getElementById("next").addEventListener("click", function () {
      page.value = Math.min(3, Number(page.value) + 1);
      keep("cmi.core.lesson_location", page.value);
      keep("cmi.core.lesson_status", "incomplete");
      api.LMSCommit("");
    });
    document.getElementById("save").addEventListener("click", function () {
      keep("cmi.suspend_data", note.value);
      api.LMSCommit("");
    });
    document.getElementById("finish").addEventListener("click", function () {
      keep("cmi.core.score.raw", 80);
      keep("cmi.core.lesson_status", "passed");
      keep("cmi.core.session_time", "0000:05:00");
      api.LMSCommit("");
      api.LMSFinish("");
      status.textContent = "Finished";
    });
  }

  window.addEventListener("load", function () { start(100); });
}());
