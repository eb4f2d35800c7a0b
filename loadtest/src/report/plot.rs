//! Bars, as SVG.

use std::path::Path;

use plotters::prelude::*;

const WIDTH: u32 = 960;
const BAR: u32 = 26;
/// Room for caption and axis.
const AROUND: u32 = 110;
const NAMES: u32 = 300;

/// Draws bars with their names, on a logarithmic scale, since what is compared may be a hundred times as much.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn bars(path: &Path, caption: &str, unit: &str, bars: &[(String, f64)]) -> anyhow::Result<()> {
    // A bar of nothing has no place on such a scale.
    let bars: Vec<_> = bars.iter().filter(|(_, value)| value.is_normal() && *value > 0.0).collect();
    let least = bars.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    anyhow::ensure!(!bars.is_empty(), "{caption}: there is nothing to draw");
    let (low, high) = (least / 2.0, most * 2.0);
    let count = u32::try_from(bars.len())?;
    let area = SVGBackend::new(path, (WIDTH, AROUND + BAR * count)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d((low..high).log_scale(), 0.0..f64::from(count))?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_desc(unit).draw()?;
    for (row, (name, value)) in (1_u32..).zip(&bars) {
        // The first is at the top.
        let bottom = f64::from(count - row);
        let color =
            if name.contains("echo") || name.contains("at rest") { RGBColor(160, 160, 160) } else { BLUE };
        let bar = [(low, bottom + 0.15), (*value, bottom + 0.85)];
        chart.draw_series([Rectangle::new(bar, color.filled())])?;
        let (x, y) = chart.backend_coord(&(*value, bottom + 0.5));
        area.draw(&Text::new(figure(*value), (x + 6, y - 6), ("sans-serif", 12)))?;
        area.draw(&Text::new(name.clone(), (12, y - 6), ("sans-serif", 12)))?;
    }
    area.present()?;
    Ok(())
}

fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
