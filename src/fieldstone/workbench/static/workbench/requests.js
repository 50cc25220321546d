/* Every request of a block: give it the CSRF token, and tell the page how it ended.
   Blocks use jQuery, XMLHttpRequest or fetch as they like, so the two at the bottom are wrapped. */
(function () {
    'use strict';

    const SAFE = /^(GET|HEAD|OPTIONS|TRACE)$/i;
    let leaving = false;
    // A page that is left cuts its requests off; that is not worth a notice.
    window.addEventListener('pagehide', () => { leaving = true; });
    window.addEventListener('pageshow', () => { leaving = false; });

    function token() {
        const meta = document.querySelector('meta[name="csrf-token"]');
        return meta ? meta.content : '';
    }

    function resolve(url) {
        try {
            return new URL(url, document.baseURI);
        } catch {
            return null;
        }
    }

    // A usage key has ':', '+' and '@' in it, which one writer escapes and another does not.
    function plainPath(url) {
        try {
            return decodeURIComponent(url.pathname);
        } catch {
            return url.pathname;
        }
    }

    function isHandler(url) {
        if (!url || url.origin !== location.origin) {
            return false;
        }
        const path = plainPath(url);
        const elements = document.querySelectorAll(':is(.xblock, .xblock_asides-v1)[data-handler-url]');
        return Array.from(elements).some(function (element) {
            const prefix = resolve(element.dataset.handlerUrl);
            return prefix !== null && path.startsWith(plainPath(prefix));
        });
    }

    function needsToken(method, url) {
        return !SAFE.test(method) && url !== null && url.origin === location.origin;
    }

    function reasonIn(text) {
        try {
            const body = JSON.parse(text);
            const reason = body && (body.error || body.message || body.detail);
            return typeof reason === 'string' ? reason : '';
        } catch {
            return ''; // an HTML page of the server says nothing in one line
        }
    }

    /** A request to a handler is over; status 0: it never reached the server. */
    function ended(method, url, status, statusText, text) {
        if (!isHandler(url)) {
            return;
        }
        if (status >= 200 && status < 300) {
            if (/^POST$/i.test(method)) {
                document.body.dispatchEvent(new CustomEvent('fieldstone:saved', {
                    bubbles: true, detail: { url: url.href },
                }));
            }
            return;
        }
        if (status >= 300 && status < 400 || leaving) {
            return;
        }
        const title = SAFE.test(method) ? 'Not loaded:' : 'Not saved:';
        const why = status === 0
            ? 'the server could not be reached'
            : reasonIn(text) || ('the server answered ' + status + (statusText ? ' ' + statusText : ''));
        window.Fieldstone.notice(title, why);
    }

    // --- XMLHttpRequest, and with it jQuery and htmx -------------------------------------------

    const requests = new WeakMap(); // XMLHttpRequest -> {method, url, hasToken}
    const proto = XMLHttpRequest.prototype;
    const { open, send, setRequestHeader } = proto;

    proto.open = function (method, url) {
        requests.set(this, { method: String(method), url: resolve(url), hasToken: false });
        return open.apply(this, arguments);
    };

    proto.setRequestHeader = function (name) {
        const request = requests.get(this);
        if (request && /^X-CSRFToken$/i.test(name)) {
            request.hasToken = true; // a second value would be joined to the first
        }
        return setRequestHeader.apply(this, arguments);
    };

    proto.send = function () {
        const request = requests.get(this);
        if (request) {
            if (needsToken(request.method, request.url) && !request.hasToken) {
                setRequestHeader.call(this, 'X-CSRFToken', token());
            }
            const finish = () => {
                const textual = this.responseType === '' || this.responseType === 'text';
                const text = textual ? this.responseText
                    : this.responseType === 'json' ? JSON.stringify(this.response) : '';
                ended(request.method, request.url, this.status, this.statusText, text);
            };
            // Not 'abort': whoever aborts a request meant to.
            for (const kind of ['load', 'error', 'timeout']) {
                this.addEventListener(kind, finish, { once: true });
            }
        }
        return send.apply(this, arguments);
    };

    // --- fetch ---------------------------------------------------------------------------------

    const fetch = window.fetch;

    window.fetch = async function (input, init) {
        const url = resolve(input instanceof Request ? input.url : input);
        if (url === null || url.origin !== location.origin) {
            return fetch.call(window, input, init);
        }
        const request = new Request(input, init);
        if (needsToken(request.method, url) && !request.headers.has('X-CSRFToken')) {
            request.headers.set('X-CSRFToken', token());
        }
        let response;
        try {
            response = await fetch.call(window, request);
        } catch (error) {
            if (error.name !== 'AbortError') {
                ended(request.method, url, 0, '', '');
            }
            throw error;
        }
        const text = response.ok ? '' : await response.clone().text().catch(() => '');
        ended(request.method, url, response.status, response.statusText, text);
        return response;
    };

    // --- the panels with stored state, which htmx loads -------------------------------------------

    for (const kind of ['htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
        document.addEventListener(kind, function (event) {
            const target = event.detail.target;
            if (target && target.matches('.stored-body')) {
                const words = document.createElement('p');
                words.className = 'site-quiet';
                words.textContent = 'The stored state could not be read just now.';
                target.replaceChildren(words);
            }
        });
    }
})();
