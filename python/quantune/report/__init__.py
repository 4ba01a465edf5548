"""metrics.json → one table and verdicts in words (`console`), and one self-contained HTML file (`html`)."""
