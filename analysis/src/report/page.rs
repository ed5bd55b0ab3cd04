//! The page itself: HTML with everything in it, in light and in dark.

use std::fmt::Write;

use super::{GROUPS_MAX, Report, advice_name};
use crate::claims::{Advice, Evidence, Finding, Verdict};
use crate::figures::{Figure, SHEET, escape};
use crate::words::counted;

const PAGE_SHEET: &str = "\
:root{color-scheme:light dark;--fore:#1d1d1d;--back:#fff;--soft:#666;--rule:#ddd;--box:#f6f6f6;--yes:#0b6e4f;--no:#a23b00;--open:#555}\
@media(prefers-color-scheme:dark){:root{--fore:#e4e4e4;--back:#161616;--soft:#aaa;--rule:#3a3a3a;--box:#212121;--yes:#5fd3a8;--no:#ffa468;--open:#bbb}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--fore);background:var(--back);max-width:960px;margin:0 auto;padding:1.5rem}\
h1{font-size:1.7rem;margin:.2em 0}h2{font-size:1.3rem;margin:2em 0 .5em;border-bottom:1px solid var(--rule)}h3{font-size:1.05rem;margin:1.6em 0 .2em}\
p{margin:.4em 0}.soft{color:var(--soft);font-size:.92rem}svg{max-width:100%;height:auto;display:block;margin:.5em 0}\
.wide{overflow-x:auto}@media(max-width:640px){body{padding:.8rem}.wide svg{max-width:none}}\
pre{background:var(--box);padding:.7em;overflow-x:auto;font-size:.82rem;border-radius:4px}\
details{margin:.3em 0}summary{cursor:pointer;color:var(--soft)}li{margin:.15em 0;font-size:.9rem;overflow-wrap:anywhere}\
.claim{border-left:4px solid var(--open);padding:.2em 0 .2em .9em;margin:1em 0}.claim p{margin:.15em 0}\
.supported{border-color:var(--yes)}.contradicted{border-color:var(--no)}\
.verdict{font-weight:700}.supported .verdict{color:var(--yes)}.contradicted .verdict{color:var(--no)}\
table{border-collapse:collapse;font-size:.92rem}td,th{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid var(--rule)}";

/// What no verdict here can mean.
const LIMITS: &str = "The published bounds are sufficient conditions with constants left open: exponents that agree prove \
    none of them, exponents that disagree refute none. A verdict is given only where every statistic, threshold and moment \
    that was fixed beforehand agrees, of those that say anything; else it is \"cannot tell\".";

/// What the sentences below take for known.
const WORDS: &str = "Words: l is width, β depth, d the dimension of the data. A cell is one l, β and d, averaged over \
    seeds; a row is the cells that differ in one of the three alone. β* is the depth at which a row's statistic reaches a \
    threshold; a row is censored where that lies before its first depth or beyond its last, and then only bounds β*. A \
    region is all exponents that other seeds could well have given (95 %); it holds those inside. At the start: at the initial \
    weights. A setting: all but l, β, d and seeds.";

/// What tells our pages from others.
const MARK: &str = "<meta name=\"generator\" content=\"gradsweep report\">";

/// The files beside a page that it links to; none where it is no page of ours.
pub(super) fn files(page: &str) -> impl Iterator<Item = &str> {
    let links = page.split("href=\"").skip(1).filter(|_| page.contains(MARK));
    let names = links.filter_map(|rest| rest.split('"').next());
    let is_ours = |name: &&str| {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        !name.contains('/') && ["svg", "png", "csv", "toml"].contains(&ending)
    };
    names.filter(is_ours)
}

/// What holds for every file of advice.
const MORE: &str = "RESULTS is where these results were made: there, with the journal of their run, jobs that are done are kept, and \
    the rows of all settings stay side by side. Of results that came without their journal, run a file into another folder.";

pub(super) fn html(report: &Report) -> String {
    let sweep = report.study.sweep.as_str();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n{MARK}\n<title>{sweep}: gradient confusion</title>\n\
         <style>{PAGE_SHEET}{SHEET}</style>\n</head>\n<body>\n<h1>{sweep}</h1>\n"
    );
    overview(&mut out, report);
    out.push_str("<h2>Claims</h2>\n");
    let _ = writeln!(out, "<p class=\"soft\">{LIMITS}</p>\n<p class=\"soft\">{WORDS}</p>");
    report.findings.iter().for_each(|finding| claim(&mut out, finding));
    if !report.advice.is_empty() {
        out.push_str("<h2>What to add</h2>\n");
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", escape(MORE));
        for (index, advice) in report.advice.iter().enumerate() {
            more(&mut out, index, advice);
        }
    }
    if !report.shared.is_empty() {
        out.push_str("<h2>Across settings</h2>\n");
        report.shared.iter().for_each(|one| figure(&mut out, one));
    }
    for (group, figures) in report.study.groups.iter().zip(&report.figures) {
        let label = report.study.label(group);
        let title = if label.is_empty() { "Figures".to_owned() } else { label };
        let _ = writeln!(out, "<h2>{}</h2>", escape(&title));
        if figures.is_empty() {
            out.push_str(
                "<p>Nothing to draw: no trial of it was measured without diverging.</p>\n",
            );
        }
        figures.iter().for_each(|one| figure(&mut out, one));
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn overview(out: &mut String, report: &Report) {
    let groups = &report.study.groups;
    let trials = report.study.job_count();
    let scope = report.study.scope.map_or("nothing measured".to_owned(), |scope| {
        format!(
            "cosines over {}",
            if scope == "samples" { "gradients of single examples" } else { scope }
        )
    });
    let _ =
        writeln!(out, "<p class=\"soft\">{} with a result, {scope}.</p>", counted(trials, "trial"));
    out.push_str("<div class=\"wide\"><table>\n<tr><th>setting</th><th>widths</th><th>depths</th><th>dims</th><th>seeds</th><th>trials</th><th>diverged</th></tr>\n");
    for group in groups {
        let label = report.study.label(group);
        let label = if label.is_empty() { "all".to_owned() } else { label };
        let list = |values: Vec<i64>| match values.as_slice() {
            [] => "-".to_owned(),
            [one] => one.to_string(),
            [first, .., last] => format!("{first} to {last} ({})", values.len()),
        };
        let mut seeds: Vec<_> = group.trials.iter().map(|trial| trial.seeds).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&label),
            list(group.values(|trial| trial.width)),
            list(group.values(|trial| trial.depth)),
            list(group.values(|trial| trial.dim)),
            seeds.len(),
            group.trials.len(),
            group.trials.iter().filter(|trial| trial.is_diverged).count()
        );
    }
    out.push_str("</table></div>\n");
    if groups.len() > GROUPS_MAX {
        let rest = groups.len() - GROUPS_MAX;
        let _ = writeln!(out, "<p>{rest} more settings are judged, but not drawn.</p>");
    }
    if let Some(incomplete) = &report.study.incomplete {
        let _ = writeln!(out, "<p>Warning: {}.</p>", escape(&incomplete.to_string()));
    }
    for difference in &report.study.differences {
        let _ = writeln!(out, "<p>Note: {}.</p>", escape(&difference.to_string()));
    }
    for unusable in &report.study.unusable {
        let _ = writeln!(out, "<p>Note: {}.</p>", escape(&unusable.to_string()));
    }
}

fn claim(out: &mut String, finding: &Finding) {
    let (class, mark) = match finding.verdict {
        Verdict::Supported => ("supported", "✓ "),
        Verdict::Contradicted => ("contradicted", "✗ "),
        Verdict::CannotTell => ("open", "? "),
    };
    let claim = finding.claim;
    let _ = writeln!(
        out,
        "<div class=\"claim {class}\">\n<p><b>{}</b></p>\n<p><span class=\"verdict\">{mark}{}</span>: {}.</p>\n\
         <p class=\"soft\">{}. Statistic: {}. Needs: {}.</p>",
        escape(claim.statement),
        finding.verdict.label(),
        escape(&finding.reason),
        escape(claim.source),
        escape(claim.statistic),
        escape(claim.needs)
    );
    let is_one = finding.evidence.len() == 1;
    finding.evidence.iter().for_each(|evidence| sensitivity(out, evidence, is_one));
    out.push_str("</div>\n");
}

fn sensitivity(out: &mut String, evidence: &Evidence, is_only: bool) {
    let head = match is_only {
        true => "in detail".to_owned(),
        false => format!("{}: {}, {}", evidence.group, evidence.verdict.label(), evidence.reason),
    };
    if evidence.sensitivity.is_empty() {
        if !is_only {
            let _ = writeln!(out, "<p class=\"soft\">{}</p>", escape(&head));
        }
        return;
    }
    let _ = writeln!(out, "<details><summary>{}</summary><ul>", escape(&head));
    for line in &evidence.sensitivity {
        let _ = writeln!(out, "<li>{}</li>", escape(line));
    }
    out.push_str("</ul></details>\n");
}

fn more(out: &mut String, index: usize, advice: &Advice) {
    let name = advice_name(index);
    let label = if advice.group.is_empty() { String::new() } else { format!("{}: ", advice.group) };
    let _ = writeln!(
        out,
        "<p>{}{}. <a href=\"{name}\">{name}</a> asks for it. What it would cost: \
         <code>gradsweep plan {name}</code>; to run it: <code>gradsweep run {name} --out RESULTS --revise</code>.</p>\n\
         <details><summary>{name}</summary><pre>{}</pre></details>",
        escape(&label),
        escape(&advice.reasons.join("; ")),
        escape(&advice.file)
    );
}

fn figure(out: &mut String, figure: &Figure) {
    let Figure { name, title, caption, svg, sql, .. } = figure;
    let png = match cfg!(feature = "png") {
        true => format!("<a href=\"{name}.png\">PNG</a> · "),
        false => String::new(),
    };
    let _ = writeln!(
        out,
        "<figure id=\"{name}\" style=\"margin:0\">\n<h3>{}</h3>\n<div class=\"wide\">{svg}</div><figcaption class=\"soft\">{} \
         <a href=\"{name}.svg\">SVG</a> · {png}<a href=\"{name}.csv\">CSV</a></figcaption>\n\
         <details><summary>SQL</summary><pre>{}</pre></details>\n</figure>",
        escape(title),
        escape(caption),
        escape(sql)
    );
}
