/// The style sheet of every page.
enum StyleSheet {
    static var css: String {
        """
        :root{color-scheme:light dark;--page:\(Palette.lightBackground);--ink:#1a1d21;--soft:#5a626c;--rule:#d9dde2;--grid:#e7eaee;\
        --tint:#f5f6f8;--link:#1a4fb0;--muted:#767d86;\(Palette.properties(Palette.light))}
        @media screen and (prefers-color-scheme:dark){:root{--page:\(Palette.darkBackground);--ink:#e8eaed;--soft:#a2abb6;--rule:#3a4049;\
        --grid:#2a2f37;--tint:#1d2127;--link:#8ab4f8;--muted:#8b939d;\(Palette.properties(Palette.dark))}}
        \(Palette.classes)
        .muted{--series:var(--muted)}
        \(text)
        \(figures)
        \(tables)
        \(media)
        """
    }

    private static let text = """
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
        body{margin:0;background:var(--page);color:var(--ink);\
        font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
        main,.page-header,.page-footer{max-width:1080px;margin:0 auto;padding:0 clamp(16px,4vw,40px);overflow-wrap:anywhere}
        .page-header{padding-top:clamp(28px,6vw,56px)}
        h1{font-size:clamp(26px,5vw,36px);line-height:1.2;letter-spacing:-.015em;margin:0 0 12px;text-wrap:balance}
        h2{font-size:22px;line-height:1.3;margin:0 0 12px;letter-spacing:-.01em}
        h3{font-size:16px;margin:0 0 8px}
        .lead{font-size:18px;color:var(--soft);margin:0;max-width:44em}
        section{margin:44px 0 0}
        p,.prose{max-width:44em}
        p{margin:0 0 14px}
        ul.prose{margin:0 0 14px;padding-left:22px}
        ul.prose li{margin:4px 0}
        a{color:var(--link);text-underline-offset:2px}
        code,pre{font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
        code{background:var(--tint);border-radius:3px;padding:1px 4px}
        pre{background:var(--tint);border-radius:6px;padding:12px 14px;overflow-x:auto;margin:0 0 14px;max-width:100%}
        pre code{background:none;padding:0;overflow-wrap:normal}
        .page-footer{margin-top:56px;padding-top:16px;padding-bottom:40px;color:var(--soft);font-size:14px}
        .page-footer::before{content:"";display:block;border-top:1px solid var(--rule);margin-bottom:16px}
        """

    private static let figures = """
        figure{margin:0 0 28px;min-width:0}
        figcaption{margin:0 0 10px}
        .title{display:block;font-weight:650}
        .summary{display:block;color:var(--soft);font-size:14.5px;line-height:1.45;max-width:48em}
        .row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:0 36px;align-items:stretch}
        .row>.chart{display:flex;flex-direction:column}
        .row>.chart .plot{margin-top:auto}
        .symbols{position:absolute}
        .chart{container-type:inline-size}
        .plot{padding:30px var(--right) 54px var(--left)}
        .dots .plot{padding-top:4px}
        .plot>svg{display:block;overflow:visible}
        .chart text{font-size:13px;fill:var(--ink);font-variant-numeric:tabular-nums}
        .chart .number,.chart .heading{fill:var(--soft)}
        .chart .nothing{fill:var(--soft);font-style:italic}
        .chart .row-name{font-weight:600}
        .grid{stroke:var(--grid);stroke-width:1;shape-rendering:crispEdges}
        .tick,.base{stroke:var(--muted);stroke-width:1;shape-rendering:crispEdges}
        .curve,.line{fill:none;stroke:var(--series);stroke-width:1.9;stroke-linejoin:round;stroke-linecap:round;\
        vector-effect:non-scaling-stroke}
        .curve.dashed,.dashed .line,.dashed .leader{stroke-dasharray:6 5}
        .curve.points{stroke-width:3.5}
        .curve.faint,.faint .line{stroke-width:1.1;stroke-opacity:.45}
        .band{fill:var(--series);fill-opacity:.16;stroke:none}
        .mark{fill:var(--series);stroke:var(--page);stroke-width:1.2}
        .dashed .mark{fill:var(--page);stroke:var(--series);stroke-width:1.5}
        .leader{fill:none;stroke:var(--series);stroke-width:1.1}
        .tip{fill:var(--series);fill-opacity:0}
        .tip:hover{fill-opacity:.35}
        .spread{stroke:var(--series);stroke-width:1.6;stroke-opacity:.55}
        .run{fill:var(--page);fill-opacity:.6;stroke:var(--series);stroke-width:1.3}
        .reference{stroke:var(--ink);stroke-width:1.8;fill:none}
        .legend{list-style:none;margin:0 0 2px;padding:0;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13.5px;line-height:1.4}
        .legend li{display:flex;align-items:center;gap:7px}
        .legend em{color:var(--soft)}
        .swatch{flex:none;overflow:visible}
        .note{font-size:13px;line-height:1.45;color:var(--soft);margin:2px 0 0;max-width:60em}
        figcaption+.note{margin-top:-4px}
        .note+.legend{margin-top:8px}
        .picture{display:block;max-width:100%;height:auto;background:#fff;border-radius:4px}
        .pixels{image-rendering:pixelated}
        @container (max-width:699px){.labels,.secondary{display:none}.plot{padding-right:18px}.dots .plot{padding-right:var(--right)}}
        @container (min-width:700px){.labelled .legend{display:none}}
        """

    private static let tables = """
        .scroll{overflow-x:auto;max-width:100%}
        table{border-collapse:collapse;font-size:14.5px;line-height:1.4;font-variant-numeric:tabular-nums lining-nums}
        caption{caption-side:top;text-align:left;font-weight:650;padding:0 0 8px}
        th,td{padding:7px 22px 7px 0;text-align:left;vertical-align:baseline;overflow-wrap:normal}
        th:last-child,td:last-child{padding-right:4px}
        thead th{font-weight:600;color:var(--soft);font-size:13.5px;line-height:1.3;vertical-align:bottom;\
        border-top:1.5px solid var(--ink);border-bottom:1px solid var(--muted);min-width:5.5em}
        tbody th{font-weight:500;white-space:nowrap}
        tbody tr+tr>*{border-top:1px solid var(--grid)}
        tbody tr:last-child>*{border-bottom:1.5px solid var(--ink)}
        .numeric{text-align:right}
        td.numeric{white-space:nowrap}
        td strong{font-weight:700}
        .missing{color:var(--soft)}
        .interval{display:block}.interval .zone{fill:var(--ink);fill-opacity:.09}.interval .zero{stroke:var(--muted);stroke-width:1}
        .interval .range{stroke:var(--c0);stroke-width:2.4}.interval .end{fill:var(--c0)}
        .footnotes{font-size:13px;color:var(--soft);margin:8px 0 0;padding:0;list-style:none;max-width:56em}
        sup{line-height:0;font-size:.75em}
        .settings{margin:0 0 24px}
        .settings dl{margin:0;display:grid;grid-template-columns:minmax(8em,max-content) minmax(0,1fr);font-size:14.5px;line-height:1.4}
        .settings dt,.settings dd{margin:0;padding:5px 18px 5px 0;border-top:1px solid var(--grid)}
        .settings dt{color:var(--soft)}
        .settings dd{font-variant-numeric:tabular-nums}
        """

    private static let media = """
        @media (max-width:480px){
        .settings dl{grid-template-columns:minmax(0,1fr)}
        .settings dt{padding-bottom:0}
        .settings dd{border-top:0;padding-top:0}
        }
        @media print{
        body{font-size:11pt}
        figure,.settings,tr{break-inside:avoid}
        h2{break-after:avoid}
        section{margin-top:26px}
        .page-header{padding-top:0}
        .row{grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:0 24px}
        .scroll{overflow:visible}
        *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
        }
        """
}
