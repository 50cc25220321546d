/* The names that published blocks expect to find on a course page. Each is a plain property of
   window, never a const: blocks write `var Logger` or `if (typeof gettext === 'undefined')`. */
(function () {
    'use strict';

    const $ = window.jQuery;

    // --- translations: the workbench has one language; the names are those of Django's catalog ---

    window.gettext = (text) => text;
    window.gettext_noop = (text) => text;
    window.ngettext = (one, many, count) => (Number(count) === 1 ? one : many);
    window.pgettext = (context, text) => text;
    window.npgettext = (context, one, many, count) => (Number(count) === 1 ? one : many);
    window.pluralidx = (count) => (Number(count) === 1 ? 0 : 1);
    window.get_format = (name) => name;
    // Positional %s takes from a copy: a caller's list stays whole.
    window.interpolate = function (format, values, named) {
        if (named) {
            return format.replace(/%\(\w+\)s/g, (match) => String(values[match.slice(2, -2)]));
        }
        const rest = Array.from(values);
        return format.replace(/%s/g, () => String(rest.shift()));
    };

    // --- edX's helpers for text and HTML --------------------------------------------------------

    const StringUtils = {
        interpolate: (format, values) =>
            format.replace(/{\w+}/g, (match) => String(values[match.slice(1, -1)])),
    };

    // HTML that its writer vouches for; any other value is escaped on its way into a page.
    function HtmlSnippet(text) {
        this.text = text;
    }
    HtmlSnippet.prototype.toString = HtmlSnippet.prototype.valueOf = function () {
        return String(this.text);
    };
    const HTML = (text) => new HtmlSnippet(text);
    const ensureHtml = (value) => (value instanceof HtmlSnippet ? value : HTML(window._.escape(value)));
    const HtmlUtils = {
        HTML,
        HtmlSnippet,
        ensureHtml,
        joinHtml: (...parts) => HTML(parts.map((part) => ensureHtml(part)).join('')),
        interpolateHtml: (format, values) =>
            HTML(StringUtils.interpolate(String(ensureHtml(format)), window._.mapObject(values, ensureHtml))),
        template: (source, settings) => (data) =>
            HTML(window._.template(source, settings)({ HtmlUtils, StringUtils, ...data })),
        setHtml: (element, html) => $(element).html(String(ensureHtml(html))),
        append: (element, html) => $(element).append(String(ensureHtml(html))),
        prepend: (element, html) => $(element).prepend(String(ensureHtml(html))),
    };

    window.edx = Object.assign(window.edx || {}, { StringUtils, HtmlUtils });
    window.StringUtils = StringUtils;
    window.HtmlUtils = HtmlUtils;

    // --- events: a developer sees them in the console, and other blocks of the page can listen -----

    // The crowdsource hinter waits for its problem's answers so. An event has a name and the id of its source.
    const listeners = [];
    window.Logger = {
        log: function (event, data, source) {
            console.debug('[event]', event, data);
            listeners
                .filter((listener) => listener.event === event && listener.source === (source ?? null))
                .forEach((listener) => listener.callback(event, data, source));
        },
        listen: function (event, source, callback) {
            listeners.push({ event, source: source ?? null, callback });
        },
    };

    // --- words for screen readers ----------------------------------------------------------------

    let region = null;
    function speak(texts) {
        if (!region) {
            region = document.createElement('div');
            region.className = 'visually-hidden';
            region.setAttribute('aria-live', 'polite');
            document.body.append(region);
        }
        region.replaceChildren(...texts.map(function (text) {
            const line = document.createElement('p');
            line.textContent = text;
            return line;
        }));
    }
    window.SR = {
        readText: (text) => speak([text]),
        readTexts: (texts) => speak(Array.from(texts)),
        readElts: (elements) => speak($.map($(elements), (element) => $(element).text())),
        clear: () => speak([]),
    };

    // --- tooltips: edX shows data-tooltip; here the browser's own title has to do ---------------------

    function plainText(html) {
        return new DOMParser().parseFromString(html, 'text/html').body.textContent;
    }
    function showTitle(element) {
        const text = element && element.getAttribute('data-tooltip');
        if (text && !element.title) {
            element.title = plainText(text);
        }
    }
    document.addEventListener('mouseover', (event) => showTitle(event.target.closest('[data-tooltip]')));
    window.globalTooltipManager = {
        openTooltip: function (element) {
            const text = $(element).attr('data-tooltip');
            showTitle($(element)[0]);
            if (text) {
                window.SR.readText(plainText(text));
            }
        },
        hide: () => undefined,
    };

    // --- which touch device is this? For video; null is a computer ------------------------------------

    window.onTouchBasedDevice = () => navigator.userAgent.match(/iPhone|iPod|iPad|Android/i);

    // --- jQuery ------------------------------------------------------------------------------------

    // edX can live under a prefix; the workbench does not.
    $.getWithPrefix = $.get;
    $.postWithPrefix = $.post;
    $.ajaxWithPrefix = $.ajax;

    // Blocks written for jQuery 1 and 2 bind with these; jQuery 3 dropped them, and kept only the
    // .load(url) that has the name of one.
    const loadFrom = $.fn.load;
    $.fn.load = function (first, ...rest) {
        return typeof first === 'function' ? this.on('load', first) : loadFrom.call(this, first, ...rest);
    };
    $.fn.error = $.fn.error || function (callback) { return this.on('error', callback); };
    $.ajaxPrefilter(function (options, original, request) {
        request.success = request.done;
        request.error = request.fail;
        request.complete = (callback) => request.always(() => callback(request, request.statusText));
    });
    $.fn.size = $.fn.size || function () { return this.length; };
    $.fn.andSelf = $.fn.andSelf || $.fn.addBack;

    // Annotations ask for the plugin qTip; the browser's own tooltip carries their words. It cannot be clicked, so
    // links in it are left out; and of qTip's commands, which are texts, there is nothing to do for any.
    function tipWords(part, element) {
        const content = typeof part === 'function' ? part.call(element) : part;
        return content && content.jquery ? content.not('a').text()
            : typeof content === 'string' ? plainText(content) : '';
    }
    $.fn.qtip = $.fn.qtip || function (options) {
        if (typeof options === 'string') {
            return options === 'api' ? undefined : this;
        }
        const content = (options && options.content) || {};
        return this.each(function () {
            const title = tipWords(content.title && content.title.text, this);
            this.title = [title, tipWords(content.text, this)].filter(Boolean).join(': ');
        });
    };
})();
